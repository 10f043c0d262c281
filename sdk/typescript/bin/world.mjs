// The world of one component: it exports a handler, and imports what its bundle uses.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The one version of WASI that the engine takes. What our packages say is the same in both but for one function of
 * `wasi:cli/exit`, which the engine does not know. */
const ENGINE = '0.2.10';
const OURS = '0.2.12';
/** What a handler needs, the engine itself, and spans. */
const PACKAGES = ['cli', 'clocks', 'filesystem', 'http', 'io', 'otel', 'random', 'sockets'].map((name) => `wasi-${name}`);

/** Beside this package, or where the repository has it. */
const wit = ['../wit', '../../../wit'].map((path) => fileURLToPath(new URL(path, import.meta.url))).find(existsSync);

/** Writes the world into `folder`; its path. */
export async function written(folder, imports, consumes) {
  const packages = (await readdir(join(wit, 'deps'))).filter((name) => PACKAGES.includes(name) || name.startsWith('archipel-'));
  for (const name of packages) {
    await mkdir(join(folder, 'deps', name), { recursive: true });
    for (const file of await readdir(join(wit, 'deps', name))) {
      const text = await readFile(join(wit, 'deps', name, file), 'utf8');
      await writeFile(join(folder, 'deps', name, file), text.replaceAll(OURS, ENGINE));
    }
  }
  const world = [
    ...imports.map((name) => `  import ${name};`),
    `  export wasi:http/incoming-handler@${ENGINE};`,
    '  export archipel:http/handler@0.1.0;',
    ...(consumes ? ['  export archipel:messaging/consumer@0.1.0;'] : []),
  ];
  await writeFile(join(folder, 'service.wit'), `package archipel:made@0.1.0;\n\nworld service {\n${world.join('\n')}\n}\n`);
  return folder;
}
