// Notes, kept in PostgreSQL.
import { HttpError, json, postgres } from 'archipel';

const sql = postgres('main');

interface Note {
  id: bigint;
  text: string;
  madeAt: Date;
}

export function list(): Promise<Note[]> {
  return sql<Note>`select id, text, made_at as "madeAt" from notes order by id desc limit 100`;
}

export async function create(request: Request): Promise<Response> {
  const { text } = (await request.json().catch(() => ({}))) as { text?: unknown };
  if (typeof text !== 'string' || text === '' || text.length > 1000) throw new HttpError(400, "Give the note's `text`");
  const [note] = await sql<Note>`insert into notes (text) values (${text}) returning id, text, made_at as "madeAt"`;
  return json(note, { status: 201, headers: { location: `/notes/${note?.id}` } });
}
