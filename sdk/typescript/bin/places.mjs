// A source map, read once: for each line of a bundle, the file and line that it was made of.

const DIGITS = new Map([...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].map((digit, at) => [digit, at]));

/** `files`, and by line of the bundle from 1 an index of them and a line, or 0. `name` says what a file is called. */
export function lines(map, name) {
  const files = map.sources.map(name);
  let [source, line] = [0, 0];
  const all = map.mappings.split(';').map((mappings) => {
    let first = 0;
    for (const segment of mappings.split(',')) {
      const numbers = decoded(segment);
      if (numbers.length < 4) continue;
      source += numbers[1];
      line += numbers[2];
      first ||= [source, line + 1];
    }
    return first;
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
  return text.replaceAll(/[^\s@(]*bundle\.js:(\d+)(:\d+)?/g, (whole, at) => {
    const found = places.lines[Number(at)];
    return found ? `${places.files[found[0]]}:${found[1]}` : whole;
  });
}
