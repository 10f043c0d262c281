// Requests to the outside. Those that are not awaited one by one are under way together; an answer comes whole.
const asking = new Map();
let asked = 0;
const REDIRECTS_MAX = 20;

async function fetch(input, init = {}) {
  // Made here, where the stack has the place of the call.
  const failure = new TypeError('fetch failed');
  let request = new Request(input, init);
  const body = request.body === null ? undefined : await request.clone().bytes();
  const answer = await once(request, body, request.url, failure);
  return followed(request, body, answer, failure);
}

async function followed(request, body, first, failure) {
  let [answer, at, method, sent] = [first, request.url, request.method, body];
  for (let step = 0; ; step += 1) {
    const to = REDIRECTS.includes(answer.status) ? headersOf(answer.headers).get('location') : null;
    if (to === null || request.redirect === 'manual') return Response._came(answer.status, answer.headers, answer.body, at, step > 0);
    if (request.redirect === 'error' || step === REDIRECTS_MAX) {
      failure.message = request.redirect === 'error' ? `fetch of ${at} was answered by a redirect` : `fetch of ${request.url} was redirected more than ${REDIRECTS_MAX} times`;
      throw failure;
    }
    const next = new URL(to, at);
    const headers = new Headers(request.headers);
    if (next.origin !== new URL(at).origin) headers.delete('authorization');
    if (answer.status === 303 || ((answer.status === 301 || answer.status === 302) && method === 'POST')) {
      [method, sent] = ['GET', undefined];
      headers.delete('content-type');
    }
    at = next.href;
    answer = await once(new Request(at, { method, headers, signal: request.signal }), sent, at, failure);
  }
}

function once(request, body, address, failure) {
  const url = new URL(address);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError(`fetch of ${address}: only http and https`);
  const { promise, resolve, reject } = Promise.withResolvers();
  const fail = (why) => {
    failure.message = `fetch of ${url.origin}${url.pathname} failed: ${why}`;
    reject(failure);
  };
  const number = (asked = (asked + 1) >>> 0);
  const { signal } = request;
  const aborted = () => {
    asking.delete(number);
    native.forget(number);
    reject(signal.reason);
  };
  signal.throwIfAborted();
  asking.set(number, (status, headers, bytes) => {
    if (signal !== noSignal) signal.removeEventListener('abort', aborted);
    if (status === 0) fail(headers);
    else resolve({ status, headers, body: bytes });
  });
  if (signal !== noSignal) signal.addEventListener('abort', aborted);
  try {
    native.send(number, [request.method, url.protocol.slice(0, -1), url.host, url.pathname + url.search], listOf(request.headers), body);
  } catch (error) {
    asking.delete(number);
    fail(error.message);
  }
  return promise;
}

/** What came of the request of that number. */
function settle(number, status, headers, body) {
  const done = asking.get(number);
  asking.delete(number);
  done?.(status, headers, body);
}
