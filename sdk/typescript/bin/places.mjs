// A source map, read once: for each line of a bundle, the file and line that it was made of.

const DIGITS = new Map([...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].map((digit, at) => [digit, at]));

/** `files`, and by line of the bundle from 1 what its parts were made of, or 0: an index of `files` and a line, then for
 * each further part its column first. `name` says what a file is called. */
export function lines(map, name) {
  const files = map.sources.map(name);
  let [source, line] = [0, 0];
  const all = map.mappings.split(';').map((mappings) => {
    const parts = [];
    let column = 0;
    for (const segment of mappings.split(',')) {
      const numbers = decoded(segment);
      if (numbers.length > 0) column += numbers[0];
      if (numbers.length < 4) continue;
      source += numbers[1];
      line += numbers[2];
      if (parts.length === 0) parts.push(source, line + 1);
      else if (parts.at(-2) !== source || parts.at(-1) !== line + 1) parts.push(column, source, line + 1);
    }
    return parts.length === 0 ? 0 : parts;
  });
  return { files, lines: [0, ...all] };
}

/** Base 64 of groups of five bits, the lowest first; the lowest bit of all is the sign. */
function decoded(segment) {
  const numbers = [];
  let [value, shift] = [0, 0];
  for (const digit of segment) {
    const bits = DIGITS.get(digit);
    value += (bits & 31) * 2 ** shift;
    shift += 5;
    if (bits & 32) continue;
    numbers.push(value % 2 ? -Math.floor(value / 2) : value / 2);
    [value, shift] = [0, 0];
  }
  return numbers;
}

/** A text in which places of the bundle are places in the source. */
export function placed(text, places) {
  return text.replaceAll(/[^\s@(]*bundle\.js:(\d+)(?::(\d+))?/g, (whole, at, column) => {
    const parts = places.lines[Number(at)];
    if (!parts) return whole;
    let found = [parts[0], parts[1]];
    for (let next = 2; next < parts.length && parts[next] < Number(column ?? 0); next += 3) found = [parts[next + 1], parts[next + 2]];
    return `${places.files[found[0]]}:${found[1]}`;
  });
}
