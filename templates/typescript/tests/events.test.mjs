// What is published is kept, and can be handed to the handler.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, deliver, fake } from 'archipel/testing';
import service from '../src/index.ts';

test('what is published is what the handler understands', async (t) => {
  const host = fake(t);
  assert.equal((await ask(service, '/events', { method: 'POST' })).status, 200);
  const [event] = host.events();
  assert.equal(event.topic, 'note.made');
  assert.equal(await deliver(service, event.topic, event.json()), undefined);
});
