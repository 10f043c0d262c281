// Copies of values, with circles.
function structuredClone(value, options) {
  if (options?.transfer?.length > 0) throw unsupported('a transfer of structuredClone');
  return cloned(value, new Map());
}

const WRAPPERS = [Boolean, Number, String];
const ERRORS = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

function cloned(value, seen) {
  if (typeof value === 'function' || typeof value === 'symbol') throw new DOMError(`${String(value)} could not be cloned`, 'DataCloneError');
  if (typeof value !== 'object' || value === null) return value;
  const known = seen.get(value);
  if (known !== undefined) return known;
  const keep = (copy) => {
    seen.set(value, copy);
    return copy;
  };
  if (Array.isArray(value)) return filled(keep(new Array(value.length)), value, seen);
  if (value instanceof Date) return keep(new Date(value.getTime()));
  if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
  if (value instanceof Map) {
    const copy = keep(new Map());
    for (const [key, item] of value) copy.set(cloned(key, seen), cloned(item, seen));
    return copy;
  }
  if (value instanceof Set) {
    const copy = keep(new Set());
    for (const item of value) copy.add(cloned(item, seen));
    return copy;
  }
  if (value instanceof ArrayBuffer) return keep(value.slice(0));
  if (ArrayBuffer.isView(value)) {
    const buffer = cloned(value.buffer, seen);
    return keep(new value.constructor(buffer, value.byteOffset, value instanceof DataView ? value.byteLength : value.length));
  }
  if (value instanceof Error) {
    const copy = keep(new (ERRORS[value.name] ?? Error)(value.message));
    if ('cause' in value) copy.cause = cloned(value.cause, seen);
    copy.stack = value.stack;
    return copy;
  }
  if (WRAPPERS.some((of) => value instanceof of)) return keep(Object(value.valueOf()));
  if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof Body || value instanceof Headers) {
    throw new DOMError(`${value.constructor.name} could not be cloned`, 'DataCloneError');
  }
  return filled(keep({}), value, seen);
}

function filled(copy, value, seen) {
  for (const key of Object.keys(value)) copy[key] = cloned(value[key], seen);
  return copy;
}
