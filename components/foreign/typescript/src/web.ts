// The web's own words: what people expect to be there.
import { call, env, json, log, router, stream, uuid } from 'archipel';

let requests = 0;

export const web = router()
  .get('/web/count', () => ({ requests: (requests += 1) }))
  .get('/web/all', async () => {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode('abc')));
    const began = Date.now();
    await new Promise((done) => setTimeout(done, 20));
    return {
      url: new URL('../b?c=1', 'http://host/a/').href,
      query: new URLSearchParams('a=1&b=2').get('b'),
      headers: [...new Headers({ A: 'b' })],
      clone: structuredClone({ at: new Date(0), of: new Map([[1, 2]]) }).of.get(1),
      text: new TextDecoder().decode(new TextEncoder().encode('é')),
      base64: btoa('hi') + atob('aGk='),
      digest: [...digest.slice(0, 2)],
      random: crypto.randomUUID() !== crypto.randomUUID(),
      id: uuid.parse(uuid.v7()) !== undefined,
      waited: Date.now() - began >= 19,
      aborted: new AbortController().signal.aborted,
      env: env('GREETING') ?? null,
      hidden: env('CANARY') ?? null,
    };
  })
  .post('/web/echo', async (request) => json({ type: request.headers.get('content-type'), form: [...new URLSearchParams(await request.text())] }))
  .post('/web/json', async (request) => ({ given: await request.json() }))
  .post('/web/parse', async (request) => ({ given: JSON.parse(await request.text()) }))
  .get('/web/stream', () => {
    const pieces = ['one\n', 'two\n'];
    const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
      const piece = pieces.shift();
      if (piece === undefined) return controller.close();
      controller.enqueue(new TextEncoder().encode(piece));
    };
    return stream(new Response(new ReadableStream({ pull })));
  })
  .post('/web/call', async (request) => {
    const path = request.headers.get('x-path') ?? '/peer?of=call';
    const answer = await call('peer', path, { method: 'POST', body: await request.text() });
    return json({ status: answer.status, said: await answer.text() });
  })
  .get('/web/log', () => {
    log.warn('look', { here: 1, text: 'a\nb' });
  });
