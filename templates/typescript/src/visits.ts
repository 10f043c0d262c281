// A counter in the key-value store `cache`.
import { kv } from 'archipel';

export async function count(): Promise<{ visits: bigint }> {
  return { visits: await kv('cache').increment('visits') };
}
