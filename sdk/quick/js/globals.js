// What scripts find.
const performance = { now: () => native.now(), timeOrigin: 0, mark() {}, measure() {} };
const navigator = { userAgent: 'archipel' };

const all = {
  AbortController, AbortSignal, Blob, ByteLengthQueuingStrategy, CountQueuingStrategy, CryptoKey, CustomEvent, Event, EventTarget, File, FormData,
  Headers, ReadableStream, ReadableStreamDefaultController, ReadableStreamDefaultReader, Request, Response, TextDecoder, TextDecoderStream,
  TextEncoder, TextEncoderStream, TransformStream, URL, URLSearchParams, WritableStream, WritableStreamDefaultWriter, clearInterval: clearTimeout,
  clearTimeout, console, crypto, fetch, navigator, performance, self: globalThis, setInterval, setTimeout, structuredClone, __archipel: archipel,
};
for (const [name, value] of Object.entries(all)) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}
// What the language has and the web's objects name themselves by.
for (const name of ['Headers', 'Request', 'Response', 'URL', 'URLSearchParams', 'FormData', 'Blob', 'ReadableStream', 'AbortSignal']) {
  Object.defineProperty(globalThis[name].prototype, Symbol.toStringTag, { value: name, configurable: true });
}
return { wake, wait, ring, settle };
