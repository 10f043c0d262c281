// Unit tests, without a host: what the service would ask of it answers what a test says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask } from 'archipel/testing';
import service from '../src/index.ts';

test('everybody is greeted', async () => {
  //~ !added
  const response = await ask(service, '/');
  //~ added
  const response = await ask(service, '/my-service');
  //~ end
  assert.deepEqual(await response.json(), { hello: 'my-service' });
});
