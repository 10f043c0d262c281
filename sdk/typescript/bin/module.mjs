// Modules of WebAssembly, as bytes: their sections, and the few of them that a build reads or writes.

export const SECTION = { custom: 0, type: 1, import: 2, function: 3, memory: 5, export: 7, code: 10, data: 11, count: 12 };

const text = new TextDecoder();
const HEAD = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const FUNCTION = 0;

/** `{ id, body }` of each, in their order. */
export function sections(bytes) {
  const found = [];
  for (const from = reader(bytes, HEAD.length); !from.isAtEnd(); ) {
    const id = from.byte();
    found.push({ id, body: from.bytes(from.number()) });
  }
  return found;
}

/** A module of these. */
export function written(all) {
  return Buffer.concat([Buffer.from(HEAD), ...all.map(inFile)]);
}

/** A section as a file has it; in a module as in a component. */
export function inFile({ id, body }) {
  return Buffer.concat([Buffer.from([id]), leb(body.length), body]);
}

/** A custom section's name. */
export function nameOf(body) {
  return reader(body).name();
}

/** A custom section: its name with a length, its content. */
export function custom(name, content) {
  return { id: SECTION.custom, body: Buffer.concat([named(name), Buffer.from(content)]) };
}

/** Imported functions: `{ module, name, type }`, the type as an index. */
export function imports(body) {
  const from = reader(body);
  return Array.from({ length: from.number() }, () => {
    const found = { module: from.name(), name: from.name() };
    if (from.byte() !== FUNCTION) throw new Error(`the engine imports \`${found.name}\`, which is no function`);
    return { ...found, type: from.number() };
  });
}

/** The module's exports without those whose names `isGone` is true of. */
export function exportsWithout(body, isGone) {
  const from = reader(body);
  const kept = [];
  for (let left = from.number(); left > 0; left -= 1) {
    const begun = from.at();
    const name = from.name();
    from.byte();
    from.number();
    if (!isGone(name)) kept.push(body.subarray(begun, from.at()));
  }
  return Buffer.concat([leb(kept.length), ...kept]);
}

/** A module with functions of these names and types that trap. */
export function traps(types, functions) {
  const exported = functions.map(({ name }, at) => Buffer.concat([named(name), Buffer.from([FUNCTION]), leb(at)]));
  const unreachable = Buffer.from([3, 0, 0x00, 0x0b]);
  return written([
    { id: SECTION.type, body: types },
    { id: SECTION.function, body: Buffer.concat([leb(functions.length), ...functions.map(({ type }) => leb(type))]) },
    { id: SECTION.export, body: Buffer.concat([leb(functions.length), ...exported]) },
    { id: SECTION.code, body: Buffer.concat([leb(functions.length), ...functions.map(() => unreachable)]) },
  ]);
}

/** What of a memory is not zero, as active segments; how many there are stands first. */
export function segments(memory) {
  const words = new Int32Array(memory.buffer, memory.byteOffset, memory.length >> 2);
  const found = [];
  let [begun, end] = [-1, -1];
  for (let at = 0; at < words.length; at += 1) {
    if (words[at] === 0) continue;
    // A gap costs less than a segment of its own.
    if (begun < 0 || at - end > 8) {
      if (begun >= 0) found.push([begun, end]);
      begun = at;
    }
    end = at + 1;
  }
  if (begun >= 0) found.push([begun, end]);
  const body = found.map(([from, to]) => {
    const bytes = memory.subarray(from * 4, to * 4);
    return Buffer.concat([Buffer.from([0, 0x41]), signed(from * 4), Buffer.from([0x0b]), leb(bytes.length), bytes]);
  });
  return { count: leb(found.length), body: Buffer.concat([leb(found.length), ...body]) };
}

/** A memory of at least so many pages. */
export function memory(pages) {
  return Buffer.concat([Buffer.from([1, 0]), leb(pages)]);
}

function reader(bytes, begin = 0) {
  let at = begin;
  const self = {
    at: () => at,
    isAtEnd: () => at >= bytes.length,
    byte: () => bytes[at++],
    bytes: (length) => bytes.subarray(at, (at += length)),
    number() {
      let [value, scale] = [0, 1];
      for (;;) {
        const byte = bytes[at++];
        value += (byte & 127) * scale;
        if (byte < 128) return value;
        scale *= 128;
      }
    },
    name: () => text.decode(self.bytes(self.number())),
  };
  return self;
}

function named(name) {
  const bytes = Buffer.from(name);
  return Buffer.concat([leb(bytes.length), bytes]);
}

/** A number without a sign, seven bits a byte. */
function leb(number) {
  const bytes = [];
  for (let left = number; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...bytes, left]);
    bytes.push((left % 128) | 128);
  }
}

/** One with a sign, of at least zero. */
function signed(number) {
  const bytes = [];
  for (let left = number; ; left = Math.floor(left / 128)) {
    if (left < 64) return Buffer.from([...bytes, left]);
    bytes.push((left % 128) | 128);
  }
}
