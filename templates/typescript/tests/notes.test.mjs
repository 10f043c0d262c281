// Notes, with a database that answers what a test says: SQL itself is tried by tests/system.test.mjs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, fake } from 'archipel/testing';
import service from '../src/index.ts';

const post = (json) => ask(service, '/notes', { method: 'POST', json });

test('a note is kept and given back', async (t) => {
  const main = fake(t).postgres('main');
  main.on('insert into notes').rows((text) => [{ id: 7n, text, madeAt: new Date(0) }]);
  const response = await post({ text: 'tea' });
  assert.equal(response.status, 201);
  assert.equal(response.headers.get('location'), '/notes/7');
  assert.deepEqual(await response.json(), { id: 7, text: 'tea', madeAt: '1970-01-01T00:00:00.000Z' });
  assert.deepEqual(main.statements()[0].parameters, ['tea']);
});

test('a note without a text is refused and no database is asked', async () => {
  assert.equal((await post({})).status, 400);
});
