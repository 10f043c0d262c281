// Tokens in a test: no cryptography. In the place of `archipel:identity/tokens`.
import type { Token } from 'archipel:identity/tokens@0.1.0';
import { current } from './state.ts';

/** It says whose it is: `token:main:7:user,admin`. */
export function sign(auth: string, { subject, roles, ttlSeconds }: { subject: string; roles: string[]; ttlSeconds: number }): Token {
  current('tokens.sign');
  return { value: `token:${auth}:${subject}:${roles.join(',')}`, expiresInSeconds: ttlSeconds };
}
