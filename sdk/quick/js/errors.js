// Errors, and what the web's types say when something is not here.
const DOMError = globalThis.DOMException;

function unsupported(what) {
  return new DOMError(`${what} is not in the quick engine; the other one may have it: archipel-build --engine starling`, 'NotSupportedError');
}

const parseJson = JSON.parse;

/** As the language has it, but for texts so deep that the stack would not do. Shorter ones cannot be. */
JSON.parse = function parse(text, reviver) {
  const whole = `${text}`;
  if (whole.length > native.depthMax) native.checkDepth(whole);
  return reviver === undefined ? parseJson(whole) : parseJson(whole, reviver);
};

/** Bytes of what may hold some, without a copy where it can be. */
function bytesOf(source) {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  throw new TypeError('an ArrayBuffer or a view of one is wanted');
}
