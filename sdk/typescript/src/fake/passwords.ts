// Passwords in a test: no cryptography, and the same each time. In the place of `archipel:identity/passwords`.
import { current, refuse } from './state.ts';

/** Not of the password itself, so that a test sees whether a service keeps that. */
export function hash(password: string): string {
  current('passwords.hash');
  const bytes = new TextEncoder().encode(password);
  if (bytes.length < 1 || bytes.length > 1024) refuse({ tag: 'invalid', val: 'a password has 1 to 1024 bytes' });
  return of(bytes);
}

export function verify(password: string, kept: string | undefined): boolean {
  current('passwords.verify');
  return kept === of(new TextEncoder().encode(password));
}

/** FNV-1a: enough to tell two texts apart. */
function of(bytes: Uint8Array): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return `$fake$${hash.toString(16).padStart(16, '0')}`;
}
