// Where in the source something was thrown. The build leaves a table beside the bundle: for each of its lines, the
// file and line it was made of.

interface Places {
  files: string[];
  /** By line of the bundle from 1, or 0 for what is nobody's: an index of `files` and a line, then for each further part
   * of the line its column, an index and a line. */
  lines: (number[] | 0)[];
}

declare global {
  // eslint-disable-next-line no-var
  var __archipelPlaces: Places | undefined;
}

/** One line: what it is, what it says, where, and by what it was caused. */
export function described(error: unknown): string {
  const told: string[] = [];
  for (let cause = error, depth = 0; cause !== undefined && depth < 5; depth += 1) {
    told.push(one(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return told.join('; caused by ').replaceAll(/\s*\n\s*/g, ' ');
}

function one(error: unknown): string {
  if (!(error instanceof Error)) return `thrown: ${String(error)}`;
  const where = place(error.stack ?? '');
  return `${error.name}: ${error.message}${where ? ` (at ${where})` : ''}`;
}

/** The innermost frame in a file of the service's own, `price (src/price.ts:4)`; else the innermost of all. */
function place(stack: string): string | undefined {
  const frames = stack.split('\n').map(frame).filter((found) => found !== undefined);
  return (frames.find((found) => !found.isForeign) ?? frames[0])?.text;
}

/** As the two engines write them: `price@bundle.js:4:9`, `at price (bundle.js:4:9)`. */
const FRAMES = [/^(.*)@.*:(\d+):(\d+)$/, /^at (?:(.*) \()?bundle\.js:(\d+)(?::(\d+))?\)?$/];

function frame(line: string): { text: string; isForeign: boolean } | undefined {
  const parts = FRAMES.map((of) => of.exec(line.trim())).find((found) => found !== null);
  const found = parts && source(Number(parts[2]), Number(parts[3] ?? 0));
  if (!parts || !found) return undefined;
  const file = globalThis.__archipelPlaces?.files[found[0]] ?? '';
  const name = (parts[1] ?? '').split('/').filter((part) => !part.includes('<')).pop();
  const at = `${file}:${found[1]}`;
  return { text: name ? `${name} ${at}` : at, isForeign: file.startsWith('archipel/') || file.includes('node_modules/') };
}

/** An index of the files and a line. */
function source(line: number, column: number): [number, number] | undefined {
  const parts = globalThis.__archipelPlaces?.lines[line];
  if (!parts) return undefined;
  let at = 0;
  for (let next = 2; next < parts.length && (parts[next] ?? 0) < column; next += 3) at = next + 1;
  return [parts[at] ?? 0, parts[at + 1] ?? 0];
}
