// Paging, the same for every list: `limit` and `offset`, or `limit` and `cursor`. A cursor is the last id that was
// shown, and lists are newest first by id: new entries and deleted ones move nothing.
import { uuid } from 'archipel';
import { badRequest } from './error.ts';
import { queryOf } from './query.ts';

const LIMIT_DEFAULT = 10;
const LIMIT_MAX = 100;
const OFFSET_MAX = 100_000;

export interface List<T> {
  items: T[];
  /** Of the whole list. */
  total: bigint;
  /** The cursor of the next page. */
  next: string | undefined;
}

export interface Page {
  /** How many to ask the database for: one more than are shown tells whether there is a next page. */
  rows: number;
  start: { offset: number } | { after: string };
  /** The list of the rows that were asked for. */
  listOf<T extends { id: string }>(found: T[], total: bigint): List<T>;
}

export function pageOf(request: Request): Page {
  const query = queryOf(request, ['limit', 'offset', 'cursor']);
  const limit = number(query, 'limit', 1, LIMIT_MAX) ?? LIMIT_DEFAULT;
  const offset = number(query, 'offset', 0, OFFSET_MAX);
  const cursor = query.get('cursor');
  if (cursor !== undefined && offset !== undefined) badRequest('Give `cursor` or `offset`, not both');
  const after = cursor && (uuid.parse(cursor) ?? badRequest('Query parameter `cursor` must be an `X-Next-Cursor`'));
  return {
    rows: limit + 1,
    start: after === undefined ? { offset: offset ?? 0 } : { after },
    listOf: (found, total) => {
      const items = found.slice(0, limit);
      return { items, total, next: found.length > limit ? items.at(-1)?.id : undefined };
    },
  };
}

function number(query: Map<string, string>, name: string, least: number, most: number): number | undefined {
  const text = query.get(name);
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  return badRequest(`Query parameter \`${name}\` must be a whole number from ${least} to ${most}`);
}
