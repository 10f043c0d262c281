// The whole system, asked as a client asks it: `archipel test` starts one for these tests.
import assert from 'node:assert/strict';
import { test } from 'node:test';

const url = process.env.ARCHIPEL_URL;
const skip = url ? false : 'not asked: `archipel test` starts a system';
//~ posts
const post = (path, body) => fetch(url + path, { method: 'POST', body: JSON.stringify(body) });
//~ end

test('it greets', { skip }, async () => {
  const answer = await fetch(`${url}/`);
  assert.equal(answer.status, 200);
  assert.deepEqual(await answer.json(), { hello: 'my-service' });
});
//~ postgres

test('a note is kept', { skip }, async () => {
  assert.equal((await post('/notes', { text: 'tea' })).status, 201);
  const notes = await (await fetch(`${url}/notes`)).json();
  assert.equal(notes[0].text, 'tea');
  assert.equal((await post('/notes', {})).status, 400);
});
//~ keyvalue

test('visits are counted', { skip }, async () => {
  assert.deepEqual(await (await post('/visits', {})).json(), { visits: 1 });
});
//~ events

test('an event is published', { skip }, async () => {
  assert.equal((await post('/events', {})).status, 200);
});
//~ end
