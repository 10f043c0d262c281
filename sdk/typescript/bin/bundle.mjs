// One file out of all that a service is made of, the table of the places it came from, and what it imports of the host.
import { dirname, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { lines } from './places.mjs';

const own = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** What the component exports: the service's module behind both doors. */
function entryOf(entry, consumes) {
  const runtime = JSON.stringify(resolve(own, 'src/entry.ts'));
  const consumer = JSON.stringify(resolve(own, 'src/consumer.ts'));
  return `import * as service from ${JSON.stringify(entry)};
import { answer, handle } from ${runtime};
export const incomingHandler = { handle: (request, out) => handle(service.default, request, out) };
export const handler = { handle: (request) => answer(service.default, request) };
${consumes ? `import { consume } from ${consumer};
export const consumer = { handle: (delivery) => consume(service.default, delivery) };` : ''}`;
}

/** The bundle, its imports by name, and its places.
 *
 * Fails with esbuild's own words, each with file, line and column. */
export async function bundled(entry, consumes) {
  const result = await build({
    stdin: { contents: entryOf(entry, consumes), resolveDir: process.cwd(), sourcefile: 'archipel/service.js', loader: 'js' },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    mainFields: ['module', 'main'],
    conditions: ['worker', 'import'],
    external: ['wasi:*', 'archipel:*'],
    sourcemap: 'external',
    metafile: true,
    outfile: 'bundle.js',
    logLevel: 'silent',
  }).catch((error) => {
    throw new Error(error.errors ? error.errors.map(told).join('\n') : String(error));
  });
  const [map, code] = ['.map', '.js'].map((end) => result.outputFiles.find((file) => file.path.endsWith(end)).text);
  const places = lines(JSON.parse(map), named);
  const external = Object.values(result.metafile.outputs).flatMap((output) => output.imports.filter((found) => found.external));
  const imports = [...new Set(external.map((found) => found.path))].sort();
  return { code: `${code}\nglobalThis.__archipelPlaces = ${JSON.stringify(places)};\n`, imports, places };
}

/** A file as its author calls it; those of this package begin with `archipel/`. */
function named(file) {
  const path = resolve(file);
  if (path.startsWith(own + sep)) return `archipel/${relative(own, path)}`;
  return relative(process.cwd(), path);
}

function told({ text, location }) {
  return location ? `${location.file}:${location.line}:${location.column + 1}: ${text}` : text;
}
