// Paths to handlers: `/notes/{id}`, a segment at a time, the literal before the parameter. A path that is there
// with another method is 405 with `Allow`.
import type { Says } from './described.ts';
import { json, problem } from './json.ts';
import type { Handler } from './serve.ts';

export type Params = Record<string, string>;
/** What it gives is answered as JSON, unless it is a Response; `undefined` is 204. */
export type Route = (request: Request, params: Params) => unknown;

/** What is said of a route is for `GET /openapi.json`. */
export interface Router {
  get(path: string, route: Route, says?: Says): Router;
  post(path: string, route: Route, says?: Says): Router;
  put(path: string, route: Route, says?: Says): Router;
  patch(path: string, route: Route, says?: Says): Router;
  delete(path: string, route: Route, says?: Says): Router;
  fetch(request: Request): Promise<Response>;
}

interface Path {
  segments: string[];
  routes: Map<string, Route>;
}

/** A route as it was written. */
export interface Written {
  method: string;
  path: string;
  says: Says;
}

const tables = new WeakMap<Handler, Written[]>();

/** The routes of the router whose `fetch` this is. */
export const writtenOf = (handler: Handler) => tables.get(handler);

/** How often a path's segments are parameters, from the left: fewer and later wins. */
const rank = (path: Path) => path.segments.map((segment) => (segment.startsWith('{') ? '1' : '0')).join('');

export function router(): Router {
  const paths = new Map<string, Path>();
  /** Those that win first. */
  let ordered: Path[] = [];
  const written: Written[] = [];
  const add = (method: string) => (path: string, route: Route, says: Says = {}) => {
    written.push({ method, path, says });
    const known = paths.get(path) ?? { segments: path.split('/'), routes: new Map() };
    known.routes.set(method, route);
    paths.set(path, known);
    ordered = [...paths.values()].sort((a, b) => rank(a).localeCompare(rank(b)));
    return self;
  };
  const self: Router = {
    get: add('GET'), post: add('POST'), put: add('PUT'), patch: add('PATCH'), delete: add('DELETE'),
    async fetch(request) {
      const segments = new URL(request.url).pathname.split('/');
      const path = ordered.find((known) => matches(known.segments, segments));
      const trace = () => request.headers.get('traceparent')?.split('-')[1];
      if (!path) return problem(404, 'There is nothing at this path', { trace: trace() });
      const method = request.method === 'HEAD' && !path.routes.has('HEAD') ? 'GET' : request.method;
      const route = path.routes.get(method);
      if (!route) {
        const allow = [...path.routes.keys()].flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name])).join(', ');
        return problem(405, 'This path does not take this method; see `Allow`', { trace: trace(), headers: { allow } });
      }
      const found = params(path.segments, segments);
      if (!found) return problem(400, 'The path is not percent-encoded UTF-8', { trace: trace() });
      const answer = await route(request, found);
      if (answer instanceof Response) return answer;
      return answer === undefined ? new Response(null, { status: 204 }) : json(answer);
    },
  };
  tables.set(self.fetch, written);
  return self;
}

function matches(path: string[], asked: string[]): boolean {
  if (path.length !== asked.length) return false;
  for (let at = 0; at < path.length; at += 1) {
    const segment = path[at];
    if (segment !== asked[at] && !(segment?.startsWith('{') && asked[at] !== '')) return false;
  }
  return true;
}

function params(path: string[], asked: string[]): Params | undefined {
  const found: Params = {};
  for (const [at, segment] of path.entries()) {
    if (!segment.startsWith('{')) continue;
    try {
      found[segment.slice(1, -1)] = decodeURIComponent(asked[at] ?? '');
    } catch {
      return undefined;
    }
  }
  return found;
}
