// Who may: decided before a handler does anything or the body is read.
import { identity, uuid, type Params } from 'archipel';
import { badRequest, forbidden, unauthorized } from './error.ts';

const ADMIN = 'admin';

/** Admins only. */
export function admin(request: Request): void {
  const { user, roles } = identity(request);
  if (user === undefined) unauthorized();
  if (!roles.includes(ADMIN)) forbidden();
}

/** The user whose id it is, and admins. */
export function ownerOrAdmin(request: Request, id: string): void {
  const { user, roles } = identity(request);
  if (user === undefined) unauthorized();
  if (uuid.parse(user) !== id && !roles.includes(ADMIN)) forbidden();
}

/** The id in the path; whoever has no token is not told whether it is one. */
export function idOf(request: Request, { id = '' }: Params): string {
  if (identity(request).user === undefined) unauthorized();
  return uuid.parse(id) ?? badRequest('The id in the path is not a UUID');
}
