// What the engine of components has and an older Node.js has not: `JSON.rawJSON`, by which integers are exact. It stands
// first in every test.

interface Exact {
  rawJSON?(text: string): unknown;
}

const own = JSON as unknown as Exact;
if (!own.rawJSON) {
  const [from, to] = ['\uE000archipel:', '\uE001'];
  const written = new RegExp(`"${from}(-?[0-9]+)${to}"`, 'g');
  const stringify = JSON.stringify.bind(JSON);
  own.rawJSON = (text) => `${from}${text}${to}`;
  JSON.stringify = ((...given: Parameters<typeof stringify>) => stringify(...given)?.replaceAll(written, '$1')) as typeof JSON.stringify;
}
