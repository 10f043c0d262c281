// The OpenAPI document of a service whose default export is a router: its routes, and what is said of them. The build
// asks for it; no component has this file.
import type { Says, Schema } from './described.ts';
import { writtenOf, type Written } from './router.ts';
import { fetchOf } from './serve.ts';

/** A failure, in the envelope of the gateway's own. */
const FAILURE: Schema = {
  type: 'object',
  required: ['success', 'error', 'timestamp', 'traceId'],
  properties: {
    success: { const: false },
    error: { type: 'string' },
    timestamp: { type: 'string', format: 'date-time' },
    traceId: { type: 'string', pattern: '^[0-9a-f]{32}$' },
  },
};

/** The document in JSON; nothing where the service is no router, or one behind a function of its own. */
export function documented(exported: unknown, title: string, version: string): string | undefined {
  const handler = fetchOf(exported);
  const written = handler && writtenOf(handler);
  if (!written) return undefined;
  const paths: Record<string, Record<string, Schema>> = {};
  for (const route of written) (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(title, route);
  return JSON.stringify({ openapi: '3.1.0', info: { title, version }, paths, components: { schemas: { Error: FAILURE } } });
}

function operation(title: string, { method, path, says }: Written): Schema {
  const words = path.split(/[^A-Za-z0-9]+/).filter((word) => word !== '');
  const { summary, description, body } = says;
  return {
    operationId: [`${title}.${method.toLowerCase()}`, ...words].join('_'),
    tags: [title],
    ...(summary === undefined ? {} : { summary }),
    ...(description === undefined ? {} : { description }),
    parameters: [...inPath(path, says), ...inQuery(says)],
    ...(body ? { requestBody: { required: true, content: { 'application/json': { schema: body } } } } : {}),
    responses: responses(says),
  };
}

function inPath(path: string, { params = {} }: Says): Schema[] {
  const names = path.split('/').filter((segment) => segment.startsWith('{')).map((segment) => segment.slice(1, -1));
  const other = Object.keys(params).find((name) => !names.includes(name));
  if (other !== undefined) throw new Error(`the path ${path} has no parameter \`${other}\``);
  return names.map((name) => ({ name, in: 'path', required: true, schema: params[name] ?? { type: 'string' } }));
}

function inQuery({ query = {} }: Says): Schema[] {
  return Object.entries(query).map(([name, schema]) => {
    const isOptional = name.endsWith('?');
    return { name: isOptional ? name.slice(0, -1) : name, in: 'query', required: !isOptional, schema };
  });
}

function responses({ replies = {} }: Says): Schema {
  const failure = { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } };
  const said = Object.entries(replies).map(([status, reply]) => {
    if (typeof reply !== 'string') return [status, { description: 'An answer', content: { 'application/json': { schema: reply } } }];
    return [status, { description: reply, ...(Number(status) < 400 ? {} : { content: failure }) }];
  });
  const succeeds = Object.keys(replies).some((status) => Number(status) < 400);
  if (!succeeds) said.unshift(['2XX', { description: 'A success' }]);
  return { ...Object.fromEntries(said), default: { description: 'A failure', content: failure } };
}
