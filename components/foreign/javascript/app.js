// A plain component of stock tools: answers, and tries an outgoing request when it is asked to.
//
// `/` answers a text; `/fetch?url=` fetches that address and tells the status and the text it got,
// or the error as it met it. Whether it may is the host's to say. `/throw` throws.

addEventListener('fetch', (event) => event.respondWith(answer(new URL(event.request.url))));

async function answer(url) {
  switch (url.pathname) {
    case '/':
      return new Response('javascript\n');
    case '/fetch':
      return tried(async () => {
        const response = await fetch(url.searchParams.get('url'));
        return `${response.status} ${await response.text()}`;
      });
    case '/throw':
      return new Response(await price('tea'));
    default:
      return new Response('no such behaviour\n', { status: 404 });
  }
}

async function price(of) {
  throw new RangeError(`no price of ${of}`);
}

// What came of it, or how it failed.
async function tried(attempt) {
  try {
    return new Response(`${await attempt()}\n`);
  } catch (error) {
    return new Response(`${error.name}: ${error.message}\n`, { status: 403 });
  }
}
