// Who asks, as the gateway has found out. Clients and services cannot set these headers.

export interface Identity {
  /** Whom the token speaks for; none without a token. */
  user: string | undefined;
  roles: string[];
  /** The service that asks, when it is one. */
  service: string | undefined;
}

export function identity(request: Request): Identity {
  const once = (name: string) => {
    const value = request.headers.get(name);
    // Given twice it is nobody's.
    return value === null || value === '' || (name !== 'x-user-roles' && value.includes(',')) ? undefined : value;
  };
  const roles = (once('x-user-roles') ?? '').split(',').map((role) => role.trim()).filter((role) => role !== '');
  return { user: once('x-user-id'), roles, service: once('x-source-service') };
}
