// One file out of all that a service is made of, the table of the places it came from, and what it imports of the host.
import { dirname, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { broken, lines } from './places.mjs';

const own = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** What the quick engine has of the host, by interface. */
const INTERFACES = {
  'wasi:cli/environment': ['getEnvironment'],
  'wasi:clocks/wall-clock': ['now'],
  'wasi:otel/tracing': ['onEnd', 'onStart', 'outerSpanContext'],
  'archipel:postgres/client': ['Database', 'commit', 'rollback'],
  'archipel:keyvalue/store': ['Bucket'],
  'archipel:messaging/producer': ['publish'],
  'archipel:identity/tokens': ['sign'],
  'archipel:identity/passwords': ['hash', 'verify'],
};

/** What the quick engine calls: the service's module behind its entry. */
function quickEntryOf(entry) {
  return `import * as service from ${JSON.stringify(entry)};
import { abandoned, answer, consumed } from ${JSON.stringify(resolve(own, 'src/quick.ts'))};
globalThis.__archipelService = {
  answer: (method, url, headers, body, mayStream) => answer(service.default, method, url, headers, body, mayStream),
  consume: (delivery) => consumed(service.default, delivery),
  abandoned,
};`;
}

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

/** The bundle, its imports by name, its places, and whether it has a router.
 *
 * Fails with esbuild's own words, each with file, line and column. */
export async function bundled(entry, consumes, isQuick) {
  const result = await build({
    stdin: { contents: isQuick ? quickEntryOf(entry) : entryOf(entry, consumes), resolveDir: process.cwd(), sourcefile: 'archipel/service.js', loader: 'js' },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    mainFields: ['module', 'main'],
    conditions: ['worker', 'import'],
    ...(isQuick ? { plugins: [given] } : { external: ['wasi:*', 'archipel:*'] }),
    sourcemap: 'external',
    metafile: true,
    outfile: 'bundle.js',
    logLevel: 'silent',
  }).catch((error) => {
    throw new Error(error.errors ? error.errors.map(told).join('\n') : String(error));
  });
  const [map, whole] = ['.map', '.js'].map((end) => result.outputFiles.find((file) => file.path.endsWith(end)).text);
  const { code, places } = isQuick ? broken(whole, JSON.parse(map), named) : { code: whole, places: lines(JSON.parse(map), named) };
  const outputs = Object.values(result.metafile.outputs);
  const external = isQuick
    ? outputs.flatMap((output) => Object.keys(output.inputs)).filter((input) => input.startsWith('host:')).map((input) => input.slice('host:'.length))
    : outputs.flatMap((output) => output.imports.filter((found) => found.external)).map((found) => found.path);
  const imports = [...new Set(external)].sort();
  const routes = outputs.some((output) => Object.keys(output.inputs).some((input) => named(input) === 'archipel/src/router.ts'));
  return { code: `${code}\nglobalThis.__archipelPlaces = ${JSON.stringify(places)};\n`, imports, places, routes };
}

/** The host's interfaces as the quick engine has them: values of its own, which no version is part of. */
const given = {
  name: 'host',
  setup(build) {
    build.onResolve({ filter: /^(wasi|archipel):/ }, ({ path }) => {
      const name = path.replace(/@.*/, '');
      if (INTERFACES[name]) return { path: name, namespace: 'host', sideEffects: false };
      return { errors: [{ text: `The quick engine does not have "${name}"; there are ${Object.keys(INTERFACES).join(', ')}` }] };
    });
    build.onLoad({ filter: /.*/, namespace: 'host' }, ({ path }) => {
      const names = INTERFACES[path].map((name) => `export const ${name} = all.${name};`);
      return { contents: `const all = globalThis.__archipel.interfaces[${JSON.stringify(path)}];\n${names.join('\n')}` };
    });
  },
};

/** A file as its author calls it; those of this package begin with `archipel/`. */
function named(file) {
  const path = resolve(file);
  if (path.startsWith(own + sep)) return `archipel/${relative(own, path)}`;
  return relative(process.cwd(), path);
}

function told({ text, location }) {
  return location ? `${location.file}:${location.line}:${location.column + 1}: ${text}` : text;
}
