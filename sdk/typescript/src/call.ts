// Other services of the same manifest, by name. The host finds them, counts the hops and shares the deadline.

/** Asks another service; `path` begins with `/`. Wants `call` in permissions.toml. */
export function call(service: string, path: string, init?: RequestInit): Promise<Response> {
  return fetch(`http://${service}.internal${path}`, init);
}
