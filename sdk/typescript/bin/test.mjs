#!/usr/bin/env node
// archipel-test: unit tests of a service under Node.js, without a host.
//
//   archipel-test [FILE …] [-- OPTIONS OF node --test]
//
// FILE is a test; without one, each *.test.mjs, *.test.js and *.test.ts below tests/. Each is bundled with what it imports,
// and what a service imports of the host is `src/fake/`: archipel/testing says what that answers.
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { standingIn } from './standing.mjs';

const at = process.argv.indexOf('--');
const [named, options] = at < 0 ? [process.argv.slice(2), []] : [process.argv.slice(2, at), process.argv.slice(at + 1)];
const files = named.length > 0 ? named : await found('tests');
if (files.length === 0) {
  console.error('archipel-test: there is no test: write tests/NAME.test.mjs');
  process.exit(1);
}
const place = await mkdtemp(join(tmpdir(), 'archipel-test-'));
try {
  await bundled(files, place);
  process.exitCode = await run(files.map((file) => join(place, outName(file))));
} catch (error) {
  console.error(`archipel-test: ${error.errors ? error.errors.map(told).join('\n') : error.stack}`);
  process.exitCode = 1;
} finally {
  await rm(place, { recursive: true, force: true });
}

async function found(folder) {
  const entries = await readdir(folder, { recursive: true }).catch(() => []);
  return entries.filter((name) => /\.test\.(mjs|js|ts)$/.test(name)).sort().map((name) => join(folder, name));
}

/** A path as one name, so that no two tests are one file. */
function outName(file) {
  return `${file.replaceAll(/[^\w.-]/g, '_').replace(/\.(mjs|js|ts)$/, '')}.mjs`;
}

async function bundled(tests, outdir) {
  const banner = "import { createRequire as archipelRequire } from 'node:module'; const require = archipelRequire(process.cwd() + '/');";
  const entryPoints = tests.map((file) => ({ in: resolve(file), out: basename(outName(file), '.mjs') }));
  await build({
    entryPoints, outdir, outExtension: { '.js': '.mjs' }, bundle: true, format: 'esm', platform: 'node', target: 'node20',
    sourcemap: 'inline', sourcesContent: false, logLevel: 'silent', banner: { js: banner }, plugins: [standingIn],
    inject: [fileURLToPath(new URL('../src/fake/exact.ts', import.meta.url))],
  });
}

function run(tests) {
  return new Promise((done, failed) => {
    const node = spawn(process.execPath, ['--enable-source-maps', '--test', ...options, ...tests], { stdio: 'inherit' });
    node.on('error', failed);
    node.on('exit', (code, signal) => done(signal ? 1 : code));
  });
}

function told({ text, location }) {
  return location ? `${location.file}:${location.line}:${location.column + 1}: ${text}` : text;
}
