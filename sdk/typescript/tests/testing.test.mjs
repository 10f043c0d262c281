// What stands in for the host in unit tests keeps what it promises.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call, env, json, kv, passwords, postgres, publish, Reject, router, span, tokens } from '../src/index.ts';
import { ask, deliver, fake } from '../src/testing.ts';

const sql = postgres('main');

test('without a fake host a call says how to begin', async () => {
  await assert.rejects(postgres('other')`select 1`, /^NotSet: postgres\('other'\) was called outside of a component.*const host = fake\(t\)/);
});

test('what is not set up is told with the line to write, also when the service has caught it', async (t) => {
  const host = fake(t);
  await assert.rejects(sql`select 1`, /there is no database `main` in this test: write host\.postgres\('main'\)/);
  await assert.rejects(kv('cache').get('a'), /write host\.kv\('cache'\)/);
  host.postgres('main');
  await assert.rejects(sql`delete from\n notes`, /no answer is set for this statement of database `main`: delete from notes/);
  await assert.rejects(call('users', '/api/users/7'), /write host\.service\('users'\)\.get\('\/api\/users\/7'\)\.json/);
  await assert.rejects(fetch('https://api.example.com/pay', { method: 'POST' }), /host\.outside\('https:\/\/api\.example\.com'\)\.post\('\/pay'\)/);
});

test('what a service has caught of it is thrown by ask', async (t) => {
  fake(t);
  await assert.rejects(ask(() => sql`select 1`.then(() => json(1), () => json(2)), '/'), /there is no database `main`/);
});

test('a database answers by statement and keeps what it was asked', async (t) => {
  const main = fake(t).postgres('main');
  main.on('from notes').rows([{ id: 1n, made: new Date(0) }, { id: 2n, made: null }]);
  main.on('from notes where id').rows((id) => [{ id, tags: ['a'], more: { n: 1 } }]);
  main.on('insert').fails('23505', 'notes_key');
  main.on('update').fails('overloaded');
  main.on('delete').changed(3);
  assert.deepEqual(await sql`select * \n from notes`, [{ id: 1n, made: new Date(0) }, { id: 2n, made: null }]);
  assert.deepEqual(await sql.first`select * from notes where id = ${7}`, { id: 7n, tags: ['a'], more: { n: 1 } });
  await assert.rejects(sql`insert into notes (text) values (${'tea'})`, (error) => error.isUnique('notes_key'));
  assert.equal((await ask(async () => json(await sql`update notes set text = ''`), '/')).status, 503);
  assert.equal(await sql.run`delete from notes`, 3);
  assert.deepEqual(main.statements()[2], { sql: 'insert into notes (text) values ($1)', parameters: ['tea'] });
});

test('a transaction commits, or is taken back', async (t) => {
  const main = fake(t).postgres('main');
  main.on('insert').changed(1);
  await sql.transaction((inner) => inner.run`insert into notes default values`);
  await assert.rejects(sql.transaction(() => { throw new Error('no'); }), /no/);
  assert.deepEqual([main.commits(), main.rollbacks()], [1, 1]);
});

test('a store keeps values, times, conditions and lists', async (t) => {
  const host = fake(t);
  const store = host.kv('cache');
  await store.set('a', '1', { ttlMs: 2000 });
  assert.equal(await kv('cache').increment('a', 4), 5n);
  assert.equal(await store.set('a', 'x', { ifAbsent: true }), false);
  assert.equal(await store.set('a', 'x', { ifVersion: (await store.get('a')).version - 1n }), false);
  host.passes(2000);
  assert.equal(await store.get('a'), undefined);
  for (const value of ['1', '2', '3']) await store.append('list', value, 2);
  assert.deepEqual((await store.readList('list')).map((bytes) => String.fromCharCode(...bytes)), ['3', '2']);
  await assert.rejects(store.get('list'), { name: 'StoreError', code: 'other' });
  const inserted = [];
  for (const id of ['2', '3', '3', '4', '1']) inserted.push(await store.insert('inbox', id, '', 2));
  assert.deepEqual(inserted, [true, true, false, true, false]);
  const { items, total } = await store.readSorted('inbox', { after: '4' });
  assert.deepEqual([items.map(({ id }) => id), total], [['3'], 2]);
  assert.deepEqual(await store.listKeys('', 1), { keys: ['inbox'], cursor: 'inbox' });
  store.fails('unavailable');
  await assert.rejects(kv('cache').get('a'), { httpStatus: 503 });
});

test('others answer what was said, and what they were sent is kept', async (t) => {
  const host = fake(t);
  host.service('users').get('/api/users/7').json({ data: 'Ada' });
  host.outside('https://api.example.com').post('/pay?now=1').text('no', 402);
  host.outside('https://api.example.com').get('/away').fails();
  assert.deepEqual(await (await call('users', '/api/users/7')).json(), { data: 'Ada' });
  assert.equal((await fetch('https://api.example.com/pay?now=1', { method: 'POST', body: '7' })).status, 402);
  await assert.rejects(fetch('https://api.example.com/away'), TypeError);
  assert.deepEqual(host.sent().map(({ method, body }) => [method, body]), [['GET', ''], ['POST', '7'], ['GET', '']]);
});

test('events, variables, tokens and passwords are the same each time', async (t) => {
  const host = fake(t);
  host.env('GREETING', 'hello');
  assert.deepEqual([env('GREETING'), env('PATH')], ['hello', undefined]);
  await publish('note.made', { id: 2n ** 60n }, { key: '7' });
  const [event] = host.events();
  assert.deepEqual([event.topic, event.key, new TextDecoder().decode(event.body)], ['note.made', '7', '{"id":1152921504606846976}']);
  host.publishingFails('overloaded');
  await assert.rejects(publish('note.made', 1), { httpStatus: 503 });
  assert.equal((await tokens.sign('main', { subject: '7', roles: ['user'], ttlSeconds: 60 })).value, 'token:main:7:user');
  const kept = await passwords.hash('hunter2');
  assert.deepEqual([kept.includes('hunter2'), await passwords.verify('hunter2', kept), await passwords.verify('hunter3', kept)], [false, true, false]);
});

test('a request is as the gateway hands it over, and a failure is an answer', async (t) => {
  t.mock.method(console, 'error', () => undefined);
  const service = router().get('/me', (request) => Object.fromEntries(request.headers)).get('/fails', () => { throw new Error('no'); });
  const asked = await (await ask(service, '/me', { user: '7', roles: ['admin'], service: 'orders' })).json();
  assert.deepEqual(asked, { 'x-user-id': '7', 'x-user-roles': 'admin', 'x-source-service': 'orders' });
  assert.equal((await ask(service, '/fails')).status, 500);
  const consuming = { consume: (event) => { throw new Reject(event.topic); } };
  assert.deepEqual(await deliver(consuming, 'note.made', 7), { tag: 'reject', val: 'note.made' });
});

test('spans do their work and tell nobody', async (t) => {
  fake(t);
  const seen = await span('price the cart', { items: 3 }, (own) => {
    own.set('currency', 'EUR');
    own.set('itself', own);
    own.fail('out of stock');
    return 7;
  });
  assert.equal(seen, 7);
  await assert.rejects(span('fail', () => { throw new RangeError('no way'); }), /no way/);
});

test('a body that is no JSON is the client\'s mistake, unless the service says what it makes of it', async (t) => {
  fake(t);
  const notes = router()
    .post('/notes', async (request) => ({ given: await request.json() }))
    .post('/copies', async (request) => ({ given: await request.clone().json() }))
    .post('/caught', async (request) => request.json().catch((error) => error.name))
    .post('/twice', async (request) => [await request.text(), await request.json()])
    .post('/own', async (request) => JSON.parse(await request.text()));
  const asked = async (path, body) => (await ask(notes, path, { method: 'POST', body })).status;
  assert.deepEqual([await asked('/notes', '{"a":1}'), await asked('/notes', '{"a":'), await asked('/copies', ''), await asked('/caught', '{')], [200, 400, 400, 200]);
  assert.deepEqual([await asked('/twice', '{}'), await asked('/own', '{')], [500, 500], 'these are the service\'s own');
});
