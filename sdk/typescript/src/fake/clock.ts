// The clock in a test is the machine's. In the place of `wasi:clocks/wall-clock`.
import type { Datetime } from 'wasi:clocks/wall-clock@0.2.10';

export function now(): Datetime {
  const at = Date.now();
  return { seconds: BigInt(Math.floor(at / 1000)), nanoseconds: (at % 1000) * 1e6 };
}
