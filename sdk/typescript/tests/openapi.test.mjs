// What a router says of itself, for `GET /openapi.json`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { router } from '../src/index.ts';
import { documented } from '../src/openapi.ts';

const of = (service) => JSON.parse(documented(service, 'tea', '1.2.3') ?? 'null');
const cup = { type: 'object', properties: { id: { type: 'integer' } } };

test('a route is described by its path and by what its author says', () => {
  const said = {
    summary: 'A cup', description: 'Or none.', params: { id: { type: 'integer' } },
    query: { of: { type: 'string' }, 'limit?': { type: 'integer' } },
    body: cup, replies: { 200: cup, 204: 'Nothing', 404: 'There is no such cup' },
  };
  const document = of(router().put('/cups/{id}/{side}', () => 1, said).get('/cups/{id}/{side}', () => 1));
  assert.deepEqual([document.openapi, document.info], ['3.1.0', { title: 'tea', version: '1.2.3' }]);
  const { put, get } = document.paths['/cups/{id}/{side}'];
  const json = (schema) => ({ content: { 'application/json': { schema } } });
  const failure = json({ $ref: '#/components/schemas/Error' });
  const side = { name: 'side', in: 'path', required: true, schema: { type: 'string' } };
  assert.deepEqual(put, {
    operationId: 'tea.put_cups_id_side', tags: ['tea'], summary: 'A cup', description: 'Or none.',
    parameters: [
      { name: 'id', in: 'path', required: true, schema: { type: 'integer' } }, side,
      { name: 'of', in: 'query', required: true, schema: { type: 'string' } },
      { name: 'limit', in: 'query', required: false, schema: { type: 'integer' } },
    ],
    requestBody: { required: true, ...json(cup) },
    responses: {
      200: { description: 'An answer', ...json(cup) }, 204: { description: 'Nothing' },
      404: { description: 'There is no such cup', ...failure }, default: { description: 'A failure', ...failure },
    },
  });
  assert.deepEqual(get.parameters, [{ ...side, name: 'id' }, side], 'texts, where nobody says otherwise');
  assert.deepEqual(Object.keys(get.responses), ['2XX', 'default']);
  assert.equal(document.components.schemas.Error.type, 'object');
});

test('a router is known as it is, beside a consumer, and by nothing else', () => {
  const routes = router().get('/', () => 1);
  const paths = (service) => Object.keys(of(service)?.paths ?? {});
  assert.deepEqual([paths(routes), paths(routes.fetch), paths({ fetch: routes.fetch, consume() {} })], [['/'], ['/'], ['/']]);
  assert.deepEqual([of({ fetch: (request) => routes.fetch(request) }), of(() => new Response()), of(undefined)], [null, null, null]);
});

test('a parameter that the path does not have is a mistake', () => {
  const routes = router().get('/cups/{id}', () => 1, { params: { cup: { type: 'integer' } } });
  assert.throws(() => of(routes), /the path \/cups\/\{id\} has no parameter `cup`/);
});
