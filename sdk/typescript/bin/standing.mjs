// What stands in for the host's interfaces where a service's module is evaluated by Node.js: in unit tests, and while it
// is described.
import { fileURLToPath } from 'node:url';

/** The interfaces of the host, by name, and what stands in for each. */
const FAKES = {
  'archipel:postgres/client': 'postgres', 'archipel:keyvalue/store': 'keyvalue', 'archipel:messaging/producer': 'producer',
  'archipel:identity/tokens': 'tokens', 'archipel:identity/passwords': 'passwords', 'wasi:cli/environment': 'environment',
  'wasi:otel/tracing': 'tracing', 'wasi:clocks/wall-clock': 'clock',
};

export const standingIn = {
  name: 'what stands in for the host',
  setup(building) {
    building.onResolve({ filter: /^(archipel|wasi):/ }, ({ path }) => {
      const fake = FAKES[path.split('@')[0]];
      if (fake) return { path: fileURLToPath(new URL(`../src/fake/${fake}.ts`, import.meta.url)) };
      return { errors: [{ text: `nothing stands in for ${path} in a test: what imports it is tested by \`archipel test\`` }] };
    });
  },
};
