// A source map, read once: for each line of a bundle, the file and line that it was made of.

const DIGITS = new Map([...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].map((digit, at) => [digit, at]));

/** `files`, and by line of the bundle from 1 what its parts were made of, or 0: an index of `files` and a line, then for
 * each further part its column first. `name` says what a file is called. */
export function lines(map, name) {
  return { files: map.sources.map(name), lines: [0, ...segments(map).map(parts)] };
}

/** A bundle with a line of its own for each line of the source, where the language lets one end: behind a dot, a comma or
 * an opening bracket. The quick engine knows of a function that calls nothing only the line that it begins in. */
export function broken(code, map, name) {
  const made = [];
  const places = [0];
  const before = code.split('\n');
  const known = segments(map);
  for (const [at, text] of before.entries()) {
    let from = 0;
    let own = [];
    for (const segment of known[at] ?? []) {
      const last = own.at(-1);
      const isNew = last !== undefined && (last.source !== segment.source || last.line !== segment.line);
      if (isNew && /[.,([]\s*$/.test(text.slice(from, segment.column))) {
        made.push(text.slice(from, segment.column));
        places.push(parts(own));
        from = segment.column;
        own = [];
      }
      own.push({ ...segment, column: segment.column - from });
    }
    made.push(text.slice(from));
    places.push(parts(own));
  }
  return { code: made.join('\n'), places: { files: map.sources.map(name), lines: places } };
}

/** By line of the bundle what is known of it: a column, an index of the files and a line of that. */
function segments(map) {
  let [source, line] = [0, 0];
  return map.mappings.split(';').map((mappings) => {
    let column = 0;
    return mappings.split(',').flatMap((segment) => {
      const numbers = decoded(segment);
      if (numbers.length > 0) column += numbers[0];
      if (numbers.length < 4) return [];
      source += numbers[1];
      line += numbers[2];
      return [{ column, source, line: line + 1 }];
    });
  });
}

/** As the table has a line. */
function parts(found) {
  const told = [];
  for (const { column, source, line } of found) {
    if (told.length === 0) told.push(source, line);
    else if (told.at(-2) !== source || told.at(-1) !== line) told.push(column, source, line);
  }
  return told.length === 0 ? 0 : told;
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
