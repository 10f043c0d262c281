// A service's OpenAPI document out of its router: the module is evaluated by Node.js, with what stands in for the host in
// unit tests, in a thread of its own that is ended after that.
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import { standingIn } from './standing.mjs';

/** A module that has not been evaluated by then waits for something. */
const WITHIN = 10_000;

/** The document of `entry`, nothing where it has none. `place` is a folder for what is needed on the way.
 *
 * Fails where the module wants what only an engine has. */
export async function described(entry, place, title, version) {
  const openapi = fileURLToPath(new URL('../src/openapi.ts', import.meta.url));
  const contents = `import * as service from ${JSON.stringify(resolve(entry))};
import { documented } from ${JSON.stringify(openapi)};
import { parentPort } from 'node:worker_threads';
parentPort.postMessage(documented(service.default, ${JSON.stringify(title)}, ${JSON.stringify(version)}));`;
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: process.cwd(), loader: 'js' }, bundle: true, write: false, format: 'esm', platform: 'node', target: 'node20',
    mainFields: ['module', 'main'], conditions: ['worker', 'import'], logLevel: 'silent', plugins: [standingIn],
    inject: [fileURLToPath(new URL('../src/fake/exact.ts', import.meta.url))],
  });
  const file = join(place, 'described.mjs');
  await writeFile(file, outputFiles[0].contents);
  return evaluated(file);
}

function evaluated(file) {
  // What the module prints has been printed while it was built.
  const worker = new Worker(file, { env: {}, stdout: true, stderr: true });
  let late;
  return new Promise((done, failed) => {
    late = setTimeout(() => failed(new Error(`the module was not evaluated within ${WITHIN / 1000} s`)), WITHIN);
    worker.on('message', done).on('error', failed).on('exit', () => failed(new Error('the module ended its process')));
  }).finally(() => {
    clearTimeout(late);
    return worker.terminate();
  });
}
