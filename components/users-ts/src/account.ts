// Accounts that somebody can log in to: registering, and proving a password.
import { passwords, tokens } from 'archipel';
import { admit, attemptOf, confirm, countFailure, forgetExpired, type Account } from './attempts.ts';
import { body } from './shop/body.ts';
import { badRequest, unauthorized } from './shop/error.ts';
import { created, ok } from './shop/reply.ts';
import { expectFree, insert } from './store.ts';
import { newUser, within, type User } from './user.ts';

/** The name of `[auth.main]` in the manifest, and what a token made here says. */
const AUTH = 'main';
const ROLES = ['user'];
const SECONDS = 3600;

const PASSWORD_MIN = 10;
const PASSWORD_MAX = 128;
/** Verified in place of a text that can be nobody's password, so that it costs the same. */
const NOBODYS = "nobody's password";

export async function register(request: Request): Promise<Response> {
  const fields = await body(request, ['email', 'name', 'password']);
  const given = fields.verbatim('password');
  if (!fields.text('email') || !fields.text('name') || !given) badRequest('Email, name and password are required');
  const password = within('password', given, PASSWORD_MIN, PASSWORD_MAX);
  const wanted = newUser(fields);
  await expectFree(wanted.email); // hashing is the dearest thing there is here
  const user = await insert(wanted, await passwords.hash(password));
  return created(request, `/api/users/${user.id}`, user);
}

/** A failure is counted before it is told, so that leaving early spares nobody one; a success is not counted at any
 * time. A key that has become full meanwhile refuses the right password too. */
export async function login(request: Request): Promise<Response> {
  const fields = await body(request, ['email', 'password']);
  const [email, password] = [fields.text('email'), fields.verbatim('password')];
  if (!email || !password) badRequest('Email and password are required');
  const attempt = attemptOf(email, request.headers.get('x-forwarded-for'));
  const account = await admit(attempt);
  const user = await proven(account, password);
  if (!user) {
    await countFailure(attempt);
    await forgetExpired(attempt);
    unauthorized('Invalid email or password');
  }
  await confirm(attempt);
  const { value: token, expiresInSeconds: expiresIn } = await tokens.sign(AUTH, { subject: user.id, roles: ROLES, ttlSeconds: SECONDS });
  return ok(request, { token, tokenType: 'Bearer', expiresIn, user });
}

/** The user, if the password is theirs. The host is asked exactly once whoever it is, also for an email that nobody
 * has and an account without a password. */
async function proven(account: Account | undefined, password: string): Promise<User | undefined> {
  const length = password.length > 2 * PASSWORD_MAX ? password.length : [...password].length;
  const isPassword = length >= PASSWORD_MIN && length <= PASSWORD_MAX;
  const right = isPassword ? await passwords.verify(password, account?.passwordHash) : await passwords.verify(NOBODYS, undefined);
  return right && account?.passwordHash ? account.user : undefined;
}
