// What the quick engine's own web types do, asked one by one: what else they must agree with is in web.ts.
import { router } from 'archipel';

const text = (bytes: ArrayBuffer | Uint8Array) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const caught = (work: () => unknown): string => {
  try {
    return String(work());
  } catch (error) {
    return (error as Error).name;
  }
};

async function addresses() {
  const url = new URL('https://a:b@example.com:8443/x/../y?q=1&q=2#z');
  url.searchParams.append('r', 'ä &');
  url.port = '443';
  return [url.href, url.host, url.origin, url.pathname, url.searchParams.getAll('q').join(), URL.canParse('nope'), new URLSearchParams({ a: '1' }).toString()];
}

async function headers() {
  const made = new Headers([['B', '1'], ['a', ' x '], ['b', '2'], ['set-cookie', 'c=1'], ['Set-Cookie', 'd=2']]);
  made.delete('A');
  return [[...made], made.getSetCookie().length, caught(() => new Headers({ a: 'x\ny' })), caught(() => new Headers({ 'a b': 'x' }))];
}

async function bodies() {
  const form = new FormData();
  form.append('name', 'Ada');
  form.append('file', new File(['é'], 'a.txt', { type: 'text/plain' }));
  const back = await new Response(form).formData();
  const file = back.get('file') as File;
  const twice = new Response('once');
  await twice.text();
  const request = new Request('http://h/', { method: 'post', body: '{"a":1}' });
  const copy = request.clone();
  return [
    back.get('name'), file.name, file.type, await file.text(), await twice.text().catch((error: Error) => error.name),
    await request.json(), await copy.text(), request.method, (await new Blob(['a', 'bc']).slice(1).text()), Response.json([1]).headers.get('content-type'),
  ];
}

async function streams() {
  const upper = new TransformStream<string, string>({ transform: (chunk, to) => to.enqueue(chunk.toUpperCase()) });
  const [one, other] = new Response('ab').body!.pipeThrough(new TextDecoderStream()).pipeThrough(upper).pipeThrough(new TextEncoderStream()).tee();
  const failing = new ReadableStream({ pull: () => Promise.reject(new RangeError('no more')) });
  return [await new Response(one).text(), await new Response(other).text(), await new Response(failing).text().catch((error: Error) => error.message)];
}

async function texts() {
  const decoder = new TextDecoder();
  const pieces = decoder.decode(new Uint8Array([0xe2, 0x82]), { stream: true }) + decoder.decode(new Uint8Array([0xac]));
  const strict = new TextDecoder('utf-8', { fatal: true });
  return [pieces, caught(() => strict.decode(new Uint8Array([0xff]))), new TextDecoder().decode(new Uint8Array([0xff, 0x61])), text(new TextEncoder().encode('\ud800'))];
}

async function secrets() {
  const key = await crypto.subtle.importKey('raw', new TextEncoder().encode('key'), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);
  const data = new TextEncoder().encode('The quick brown fox jumps over the lazy dog');
  const signature = await crypto.subtle.sign('HMAC', key, data);
  const absent = await crypto.subtle.generateKey('Ed25519', false, ['sign']).catch((error: Error) => error.name);
  return [text(signature).slice(0, 16), await crypto.subtle.verify('HMAC', key, signature, data), text(await crypto.subtle.digest('SHA-1', data)).slice(0, 8), absent];
}

async function time() {
  const order: string[] = [];
  await new Promise<void>((done) => {
    setTimeout(() => order.push('late'), 10);
    setTimeout(() => {
      order.push('soon');
      queueMicrotask(() => order.push('between'));
    }, 0);
    const every = setInterval(() => {
      clearInterval(every);
      setTimeout(done, 12);
    }, 1);
    order.push('now');
  });
  const late = await fetch('http://example.com/', { signal: AbortSignal.abort() }).catch((error: Error) => error.name);
  return [order.join(), late];
}

async function language() {
  const deep = (left: number): number => (left === 0 ? 0 : 1 + deep(left - 1));
  const clone = structuredClone({ at: new Date(0), set: new Set([1]), error: new TypeError('x'), bytes: new Uint8Array([1]) });
  const circle: { self?: unknown } = {};
  circle.self = circle;
  const copied = structuredClone(circle);
  return [
    caught(() => deep(1e6)), deep(500), caught(() => JSON.parse('['.repeat(100_000))), clone.error instanceof TypeError && clone.set.has(1) && clone.bytes[0] === 1,
    copied.self === copied, caught(() => structuredClone(() => 1)), new RegExp('\\p{Lu}', 'u').test('É'), [3, 1, 2].toSorted().join(), caught(() => JSON.stringify(1n)),
    Object.groupBy([1, 2], (one) => (one % 2 ? 'odd' : 'even')).odd?.length, caught(() => new TextDecoder('latin1')),
  ];
}

const asked: Record<string, () => Promise<unknown>> = { addresses, headers, bodies, streams, texts, secrets, time, language };

export const quick = router()
  .get('/quick/random', () => ({ random: Math.random() }))
  .get('/quick/together', async (request) => {
    const url = new URL(request.url).searchParams.get('url') ?? '';
    const answers = await Promise.all(['a', 'b', 'c'].map((name) => fetch(`${url}${name}`)));
    return Promise.all(answers.map((answer) => answer.text()));
  })
  .get('/quick/never', () => new Promise(() => {}))
  .get('/quick/{what}', async (_request, { what = '' }) => (await asked[what]?.()) ?? []);
