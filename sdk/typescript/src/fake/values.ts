// A test's rows as a database gives them, and a statement's parameters as a test reads them.
import type { Rows, Value } from 'archipel:postgres/client@0.1.0';
import { stringify } from '../json.ts';

export function cells(rows: Record<string, unknown>[]): Rows {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columns = names.map((name) => ({ name, oid: 0, typeName: '' }));
  return { columns, rows: rows.map((row) => ({ values: names.map((name) => cell(row[name])) })) };
}

/** A column's value, by what a service is to read. */
function cell(value: unknown): Value {
  if (value === undefined || value === null) return { tag: 'null' };
  switch (typeof value) {
    case 'boolean':
      return { tag: 'boolean', val: value };
    case 'bigint':
      return { tag: 'int64', val: value };
    case 'number':
      return { tag: Number.isInteger(value) ? 'int32' : 'float64', val: value };
    case 'string':
      return { tag: 'text', val: value };
    default:
  }
  if (value instanceof Date) return { tag: 'timestamptz', val: BigInt(value.getTime()) * 1000n };
  if (value instanceof Uint8Array) return { tag: 'bytes', val: value };
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return { tag: 'text-array', val: value };
  if (Array.isArray(value) && value.every((item) => typeof item === 'bigint')) return { tag: 'int64-array', val: value };
  return { tag: 'json', val: stringify(value) };
}

/** As they were given to the statement; an integer is a `bigint`. */
export function parameters(given: Value[]): unknown[] {
  return given.map((value) => {
    switch (value.tag) {
      case 'null':
        return null;
      case 'timestamptz':
        return new Date(Number(value.val / 1000n));
      case 'json':
        return JSON.parse(value.val);
      default:
        return value.val;
    }
  });
}
