// A test guest: each part answers below a path of its own, one app of each framework, and our own router.
import { handled } from './events.ts';
import { failures } from './failures.ts';
import hono from './hono.ts';
import itty from './itty.ts';
import { data } from './data.ts';
import { quick } from './quick.ts';
import { web } from './web.ts';

const parts: Record<string, (request: Request) => Response | Promise<Response>> = {
  hono: (request) => hono.fetch(request), itty: (request) => itty.fetch(request), fail: failures.fetch, data: data.fetch, web: web.fetch,
  quick: quick.fetch,
};

export default {
  fetch(request: Request): Response | Promise<Response> {
    const part = parts[new URL(request.url).pathname.split('/')[1] ?? ''];
    return part ? part(request) : new Response('typescript\n');
  },
  consume: handled,
};
