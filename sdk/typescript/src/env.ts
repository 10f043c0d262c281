// Variables that the manifest grants by `env`; no other is there.
import { getEnvironment } from 'wasi:cli/environment@0.2.10';

/** A variable's value, if it is granted and set. */
export function env(name: string): string | undefined {
  return getEnvironment().find(([key]) => key === name)?.[1];
}
