// Passwords, hashed by the host (Argon2id), a few at a time.
import { hash, verify } from 'archipel:identity/passwords@0.1.0';
import { asked, statusFor, words, type Fault } from './fault.ts';

export class PasswordError extends Error {
  /** `access-denied`, `invalid`, `overloaded` or `other`. */
  readonly code: string;
  readonly httpStatus: number;

  constructor(fault: Fault) {
    super(words(fault));
    this.name = 'PasswordError';
    this.code = fault.tag;
    this.httpStatus = statusFor(fault.tag);
  }
}

const made = (fault: Fault) => new PasswordError(fault);

/** Wants `passwords` in permissions.toml. */
export const passwords = {
  /** What to keep of a password. */
  async hash(password: string): Promise<string> {
    return asked(() => hash(password), made);
  },
  /** Whether `password` is the one that `kept` was made of. Without `kept` it costs the same and is false. */
  async verify(password: string, kept: string | undefined | null): Promise<boolean> {
    return asked(() => verify(password, kept ?? undefined), made);
  },
};
