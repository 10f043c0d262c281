// What goes wrong in a service, one path each.
import { HttpError, call, router } from 'archipel';

function price(of: string): number {
  throw new Error(`no price of ${of}`);
}

export const failures = router()
  .get('/fail/throw', () => price('tea'))
  .post('/fail/throw', async (request) => price(await request.text()))
  .get('/fail/reject', async () => {
    await Promise.reject(new TypeError('too late', { cause: new Error('the clock') }));
  })
  .get('/fail/nothing', () => Object(null))
  .get('/fail/text', () => {
    throw 'two\nlines';
  })
  .get('/fail/told', () => {
    throw new HttpError(418, 'It is a teapot');
  })
  .get('/fail/fetch', async () => (await fetch('http://example.com/')).status)
  .get('/fail/call', async () => (await call('users', '/')).status)
  .get('/fail/loop', () => {
    for (;;);
  })
  .get('/fail/memory', () => {
    const all: Uint8Array[] = [];
    for (;;) all.push(new Uint8Array(1 << 20).fill(1));
  })
  // Handlers that call nothing, one behind the other.
  .get('/fail/before', () => 1)
  .get('/fail/absent', () => (absent as unknown as { a: { b: string } }).a.b)
  .get('/fail/after', () => [2])
  .get('/fail/forgotten', async () => {
    void Promise.reject(new RangeError('nobody listens'));
    const late = Promise.reject(new Error('somebody does, late'));
    await new Promise((done) => setTimeout(done, 1));
    return await late.catch(() => 'caught');
  });

const absent = undefined;
