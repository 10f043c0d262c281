// The users service, as ../users is in Rust: the same contract, the same database, the same tests.
import { router, type Params } from 'archipel';
import { login, register } from './account.ts';
import { body } from './shop/body.ts';
import { notFound } from './shop/error.ts';
import { pageOf } from './shop/page.ts';
import { created, listed, noContent, ok } from './shop/reply.ts';
import { admin, idOf, ownerOrAdmin } from './shop/who.ts';
import * as store from './store.ts';
import { changes, newUser } from './user.ts';

const NOT_FOUND = 'User not found';

export default router()
  .post('/api/auth/register', register)
  .post('/api/auth/login', login)
  .get('/api/users', list)
  .post('/api/users', create)
  .get('/api/users/{id}', read)
  .put('/api/users/{id}', change)
  .delete('/api/users/{id}', remove);

async function list(request: Request): Promise<Response> {
  admin(request);
  const page = pageOf(request);
  return listed(request, page.listOf(await store.list(page), await store.count()));
}

/** Without a password: nobody can log in as this user. */
async function create(request: Request): Promise<Response> {
  admin(request);
  const user = await store.insert(newUser(await body(request, ['email', 'name'])), null);
  return created(request, `/api/users/${user.id}`, user);
}

async function read(request: Request, params: Params): Promise<Response> {
  ownerOrAdmin(request, idOf(request, params));
  return ok(request, (await store.find(idOf(request, params))) ?? notFound(NOT_FOUND));
}

async function change(request: Request, params: Params): Promise<Response> {
  const id = idOf(request, params);
  ownerOrAdmin(request, id);
  const user = await store.update(id, changes(await body(request, ['email', 'name'])));
  return ok(request, user ?? notFound(NOT_FOUND));
}

async function remove(request: Request, params: Params): Promise<Response> {
  const id = idOf(request, params);
  ownerOrAdmin(request, id);
  if (!(await store.remove(id))) notFound(NOT_FOUND);
  return noContent();
}
