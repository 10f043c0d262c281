// What a service is: a function from a request to a response, by the web's own types.
import type { Consumer } from './consumer.ts';

export type Handler = (request: Request) => Response | Promise<Response>;

/** What a module may export by default: Hono's and itty-router's apps are such objects. */
export interface Service {
  fetch: Handler;
  /** Handles events; wants `subscribe` in permissions.toml. */
  consume?: Consumer;
}

let served: Handler | undefined;
/** As it was given. */
let given: unknown;

/** Answers requests with `handler`; in place of a default export. */
export function serve(handler: Handler | Service): Service {
  given = handler;
  served = typeof handler === 'function' ? handler : (request) => handler.fetch(request);
  return { fetch: served };
}

/** The handler of the module `exported`, or of what it called `serve` with. */
export function handlerOf(exported: unknown): Handler {
  if (typeof exported === 'function') return exported as Handler;
  if (typeof (exported as Service | undefined)?.fetch === 'function') {
    return (request) => (exported as Service).fetch(request);
  }
  if (served) return served;
  throw new Error('the service answers nothing: `export default` a function, a router or an app, or call `serve`');
}

/** What of it is called, by itself: a router is known by it. */
export function fetchOf(exported: unknown): Handler | undefined {
  const service = exported ?? given;
  return typeof service === 'function' ? (service as Handler) : (service as Service | undefined)?.fetch;
}

const streamed = new WeakSet<Response>();

/** Sends each piece of the body as it comes. Others are sent whole, with their length; `text/event-stream` always
 * is a stream. */
export function stream(response: Response): Response {
  streamed.add(response);
  return response;
}

export function isStreamed(response: Response): boolean {
  return streamed.has(response) || (response.headers.get('content-type') ?? '').startsWith('text/event-stream');
}
