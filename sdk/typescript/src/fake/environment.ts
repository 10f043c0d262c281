// Variables in a test: those that it has set. In the place of `wasi:cli/environment`.
import { known } from './state.ts';

/** Without a fake host there are none: a module may ask while it is loaded. */
export function getEnvironment(): [string, string][] {
  return [...(known()?.env ?? [])];
}
