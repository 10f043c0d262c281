// The counter, with a store in memory.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, fake } from 'archipel/testing';
import service from '../src/index.ts';

test('each visit counts one', async (t) => {
  fake(t).kv('cache');
  const count = async () => (await (await ask(service, '/visits', { method: 'POST' })).json()).visits;
  assert.deepEqual([await count(), await count()], [1, 2]);
});
