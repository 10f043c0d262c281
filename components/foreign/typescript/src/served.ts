// A service without a default export: `serve` and `consumer` have their handlers.
import { consumer, kv, serve } from 'archipel';

serve(async (request) => {
  const { pathname, search } = new URL(request.url);
  if (pathname === '/handled') return Response.json((await kv('cache').readList('served')).map((bytes) => new TextDecoder().decode(bytes)));
  return new Response(`${request.method} ${pathname}${search}: ${await request.text()}`);
});

consumer(async (event) => {
  await kv('cache').append('served', `${event.topic}: ${event.text()}`, 10);
});
