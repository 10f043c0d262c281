// Notes, kept in PostgreSQL.
import { HttpError, json, postgres } from 'archipel';

const sql = postgres('main');

interface Note {
  id: bigint;
  text: string;
  madeAt: Date;
}

const note = {
  type: 'object',
  required: ['id', 'text', 'madeAt'],
  properties: { id: { type: 'integer' }, text: { type: 'string' }, madeAt: { type: 'string', format: 'date-time' } },
};
const text = { type: 'string', minLength: 1, maxLength: 1000 };

/** For `GET /openapi.json`. */
export const says = {
  list: { summary: 'The newest notes', replies: { 200: { type: 'array', items: note } } },
  create: {
    summary: 'Keeps a note',
    body: { type: 'object', required: ['text'], properties: { text } },
    replies: { 201: note, 400: 'It has no `text`, or one that is too long' },
  },
};

export function list(): Promise<Note[]> {
  return sql<Note>`select id, text, made_at as "madeAt" from notes order by id desc limit 100`;
}

export async function create(request: Request): Promise<Response> {
  const { text } = (await request.json().catch(() => ({}))) as { text?: unknown };
  if (typeof text !== 'string' || text === '' || text.length > 1000) throw new HttpError(400, "Give the note's `text`");
  const [note] = await sql<Note>`insert into notes (text) values (${text}) returning id, text, made_at as "madeAt"`;
  return json(note, { status: 201, headers: { location: `/notes/${note?.id}` } });
}
