#!/usr/bin/env node
// archipel-build: a component out of a service in TypeScript.
//
//   archipel-build [ENTRY] [--out FILE] [--engine quick|starling]
//
// ENTRY is src/index.ts, FILE is dist/NAME.wasm by package.json's name. The engine is what package.json says in
// `"archipel": { "engine": "quick" }`, else StarlingMonkey. What the component imports is what the bundle
// uses, no more; with `subscribe` in permissions.toml it also handles events. permissions.toml and openapi.json
// beside package.json go into the component; without the latter what the router's routes say of themselves. What has not
// changed is not built again.
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { bundled } from './bundle.mjs';
import { described } from './describe.mjs';
import { custom, inFile } from './module.mjs';
import { placed } from './places.mjs';
import { componentOf, engineFile } from './quick.mjs';
import { written } from './world.mjs';

const { values, positionals } = parseArgs({ allowPositionals: true, options: {
  out: { type: 'string' }, engine: { type: 'string' }, force: { type: 'boolean' },
} });
const own = JSON.parse(await readFile('package.json', 'utf8').catch(() => '{}'));
const entry = positionals[0] ?? 'src/index.ts';
const engineName = values.engine ?? own.archipel?.engine ?? 'starling';
const isQuick = engineName === 'quick';
const out = values.out ?? `dist/${basename(own.name ?? 'service')}.wasm`;

const began = Date.now();
try {
  const said = await build();
  console.error(`archipel-build: ${out}: ${said} in ${((Date.now() - began) / 1000).toFixed(1)} s`);
} catch (error) {
  console.error(`archipel-build: ${error.message ?? error}`);
  process.exitCode = 1;
}

async function build() {
  if (!isQuick && engineName !== 'starling') throw new Error(`there is no engine \`${engineName}\`: it is \`quick\` or \`starling\``);
  const text = (file) => readFile(file, 'utf8').catch(() => undefined);
  const sections = { 'archipel:permissions': await text('permissions.toml'), 'archipel:openapi': await text('openapi.json') };
  const consumes = /^\s*subscribe\s*=/m.test(sections['archipel:permissions'] ?? '');
  const bundle = await bundled(resolve(entry), consumes, isQuick);
  const ours = ['../package.json', './engine.mjs', './world.mjs', './quick.mjs', './module.mjs', './describe.mjs', '../src/openapi.ts'].map((file) => readFile(new URL(file, import.meta.url), 'utf8'));
  const hash = createHash('sha256').update(JSON.stringify([engineName, own.name, own.version, bundle, sections, await Promise.all(ours)]));
  if (isQuick) hash.update(await readFile(engineFile()));
  const digest = hash.digest('hex');
  if (!values.force && (await text(`${out}.stamp`)) === digest && (await readFile(out).catch(() => undefined))) return 'as it was';
  const place = await mkdtemp(join(tmpdir(), 'archipel-build-'));
  try {
    const component = await (isQuick ? quickly(bundle, consumes) : componentized(place, bundle, consumes));
    if (bundle.routes) sections['archipel:openapi'] ??= await document(place);
    await mkdir(dirname(out), { recursive: true });
    const given = Object.entries(sections).filter(([, content]) => content !== undefined);
    await writeFile(`${out}.new`, Buffer.concat([component, ...given.map(([name, content]) => inFile(custom(name, content)))]));
    await rename(`${out}.new`, out);
    await writeFile(`${out}.stamp`, digest);
    return `${(component.length / 1e6).toFixed(1)} MB, imports ${bundle.imports.join(', ') || 'nothing'}`;
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

/** A description is no reason not to build. */
async function document(place) {
  try {
    return await described(entry, place, basename(own.name ?? 'service'), own.version ?? '0.0.0');
  } catch (error) {
    console.error(`archipel-build: its routes are not described: ${error.message ?? error}`);
    return undefined;
  }
}

async function quickly(bundle, consumes) {
  try {
    return await componentOf(bundle.code, bundle.imports, consumes);
  } catch (error) {
    throw new Error(placed(String(error.message ?? error), bundle.places), { cause: error });
  }
}

async function componentized(place, bundle, consumes) {
  const witPath = await written(join(place, 'wit'), bundle.imports, consumes);
  const sourcePath = join(place, 'bundle.js');
  await writeFile(sourcePath, bundle.code);
  // Loaded late: what is as it was needs none of it.
  const { engine } = await import('./engine.mjs');
  const componentize = await engine();
  try {
    const { component } = await componentize({ sourcePath, witPath, worldName: 'service' });
    return component;
  } catch (error) {
    throw new Error(placed(String(error.message ?? error), bundle.places), { cause: error });
  }
}
