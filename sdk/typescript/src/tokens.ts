// Tokens, signed by the host: the key never leaves it.
import { sign, type Token } from 'archipel:identity/tokens@0.1.0';
import { asked, statusFor, words, type Fault } from './fault.ts';

export class TokenError extends Error {
  /** `access-denied`, `invalid`, `overloaded` or `other`. */
  readonly code: string;
  readonly httpStatus: number;

  constructor(fault: Fault) {
    super(words(fault));
    this.name = 'TokenError';
    this.code = fault.tag;
    this.httpStatus = statusFor(fault.tag);
  }
}

export const tokens = {
  /** A token of the issuer `auth` for somebody. Wants `sign` in permissions.toml. */
  async sign(auth: string, { subject, roles = [], ttlSeconds }: { subject: string; roles?: string[]; ttlSeconds: number }): Promise<Token> {
    return asked(() => sign(auth, { subject, roles, ttlSeconds }), (fault) => new TokenError(fault));
  },
};
