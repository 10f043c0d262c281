// Other services and the outside in a test: each request is kept, and answered as it was said.
import { current, notSet } from './state.ts';

/** In the place of the web's `fetch`, while there is a fake host. */
export async function fetched(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  const { web } = current(`fetch('${request.url}')`);
  const { method, url, headers } = request;
  web.sent.push({ method, url, headers, body: await request.text() });
  const rule = web.rules.findLast((candidate) => candidate.method === method && candidate.url === url);
  return rule ? rule.answer() : notSet(`no answer is set for ${method} ${url}`, wanted(method, new URL(url)));
}

/** The line that would answer it. */
function wanted(method: string, { host, origin, pathname, search }: URL): string {
  const of = host.endsWith('.internal') ? `service('${host.slice(0, -'.internal'.length)}')` : `outside('${origin}')`;
  return `host.${of}.${method.toLowerCase()}('${pathname}${search}').json({ … })`;
}
