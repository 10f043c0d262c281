// The quick engine: the service is evaluated here, in the engine's own module, and the component begins with what the
// memory holds then. What the service does not use of the host, the component does not import.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { randomFillSync } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { SECTION, exportsWithout, imports, memory, nameOf, sections, segments, traps, written } from './module.mjs';

/** Beside this package, or where the repository builds it. */
const PLACES = ['../quick.wasm', '../../../components/target/wasm32-unknown-unknown/release/quick.wasm'];
const PAGE = 65536;
const CONSUMER = 'archipel:messaging/consumer';

/** The engine's module. */
export function engineFile() {
  const files = PLACES.map((path) => fileURLToPath(new URL(path, import.meta.url)));
  const found = files.find((file) => existsSync(file));
  if (!found) throw new Error(`the quick engine is not built: there is no ${files.join(' and no ')}; in the repository, \`just engine\` builds it`);
  return found;
}

/** A component of a bundle. `used` names the host's interfaces that it needs, without versions. */
export async function componentOf(code, used, consumes) {
  // Modules that run once: better code for them would cost more than all they do. Only V8 has it, and does without.
  setFlagsFromString('--liftoff-only');
  const engine = await readFile(engineFile());
  const state = await evaluated(engine, code);
  const all = sections(engine).filter(({ id, body }) => id !== SECTION.custom || isKept(nameOf(body), consumes));
  const types = all.find(({ id }) => id === SECTION.type).body;
  const unused = imports(all.find(({ id }) => id === SECTION.import).body).filter(({ module }) => isOptional(module) && !used.includes(unversioned(module)));
  const data = segments(state);
  const parts = all.map(({ id, body }) => {
    if (id === SECTION.memory) return { id, body: memory(state.length / PAGE) };
    if (id === SECTION.export) return { id, body: exportsWithout(body, (name) => name.startsWith('build-') || (!consumes && name.includes(CONSUMER))) };
    if (id === SECTION.count) return { id, body: data.count };
    return id === SECTION.data ? { id, body: data.body } : { id, body };
  });
  const stubs = [...new Set(unused.map(({ module }) => module))].map((module) => {
    return [module, traps(types, unused.filter((one) => one.module === module))];
  });
  const { componentNew } = await import('@bytecodealliance/jco-transpile/wasm-tools');
  return componentNew(written(parts), stubs);
}

const unversioned = (name) => name.replace(/@.*/, '');

/** Ours want a permission each, and spans are not known everywhere; what else the standard has is denied at the call. */
const isOptional = (module) => module.startsWith('archipel:') || module.startsWith('wasi:otel/');

/** The types of a component, and nothing that only tells where it comes from. */
const isKept = (name, consumes) => name.startsWith('component-type') && (consumes || !name.includes(':consumer:'));

/** The memory when the bundle has been evaluated. */
async function evaluated(engine, code) {
  const module = await WebAssembly.compile(engine);
  let instance;
  const view = () => new DataView(instance.exports.memory.buffer);
  const there = {
    'wasi:clocks/wall-clock now'(into) {
      const now = Date.now();
      view().setBigUint64(into, BigInt(Math.floor(now / 1000)), true);
      view().setUint32(into + 8, (now % 1000) * 1e6, true);
    },
    'wasi:clocks/monotonic-clock now': () => process.hrtime.bigint(),
    'wasi:random/random get-random-bytes'(length, into) {
      const at = instance.exports.cabi_realloc(0, 0, 1, Number(length));
      randomFillSync(new Uint8Array(instance.exports.memory.buffer, at, Number(length)));
      view().setUint32(into, at, true);
      view().setUint32(into + 4, Number(length), true);
    },
  };
  const given = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    (given[from] ??= {})[name] = there[`${unversioned(from)} ${name}`] ?? (() => {
      throw new Error(`the service asks the host (${unversioned(from)}, ${name}) while it is built: only a handler may`);
    });
  }
  instance = await WebAssembly.instantiate(module, given);
  const { exports } = instance;
  const script = Buffer.from(code);
  const at = exports['build-room'](script.length); // The memory grows, so its buffer is another one.
  new Uint8Array(exports.memory.buffer).set(script, at);
  const failed = exports['build-prepare']();
  const [begin, length] = [exports['build-said'](), exports['build-said-length']()];
  const said = Buffer.from(exports.memory.buffer, begin, length).toString();
  if (failed) throw new Error(said);
  if (said !== '') console.error(said.trimEnd());
  return Buffer.from(exports.memory.buffer);
}
