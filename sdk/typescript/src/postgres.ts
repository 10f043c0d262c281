// PostgreSQL: a database is a name that the manifest grants. Nothing is lost on the way: `bigint` columns are
// `bigint`, `numeric` is text with its digits, ids are text, moments are `Date` (to the millisecond), days, times and spans
// are text as ISO 8601 writes them.
import { Database as Connection, commit, rollback, type Rows, type Transaction, type Value } from 'archipel:postgres/client@0.1.0';
import { asked, statusFor, words, type Fault } from './fault.ts';
import { stringify } from './json.ts';
import { day, local, moment, time } from './moment.ts';
import { isRaw, known, written } from './raw.ts';

/** What stands for `$1`, or for `${…}` in a template. A plain object is JSON; so is an array of anything but texts,
 * moments, booleans and numbers. */
export type Parameter = null | undefined | boolean | number | bigint | string | Date | Uint8Array | object;
/** What a column holds. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Cell = any;
export type Row = Record<string, Cell>;

export interface Statements {
  /** All rows of a statement; each `${…}` is a parameter and never text of it. */
  <T = Row>(text: TemplateStringsArray, ...parameters: Parameter[]): Promise<T[]>;
  /** The same for a text with `$1`, `$2`. */
  query<T = Row>(text: string, parameters?: Parameter[]): Promise<T[]>;
  /** The first row, if there is one. */
  first<T = Row>(text: TemplateStringsArray, ...parameters: Parameter[]): Promise<T | undefined>;
  /** How many rows it has changed. */
  run(text: TemplateStringsArray, ...parameters: Parameter[]): Promise<number>;
}

export interface Database extends Statements {
  /** Commits what `work` does when it is done; a failure of it takes everything back. */
  transaction<T>(work: (sql: Statements) => Promise<T> | T): Promise<T>;
}

export class PostgresError extends Error {
  /** Of PostgreSQL (`23505`), or what the host says instead: `overloaded`, `timeout`, `unavailable`, … */
  readonly code: string;
  readonly constraint: string | undefined;
  readonly httpStatus: number;

  constructor(fault: Fault) {
    const refused = fault.tag === 'db' ? (fault.val as { sqlstate: string; message: string; constraint?: string }) : undefined;
    super(refused ? `${refused.sqlstate} ${refused.message}` : parameter(fault));
    this.name = 'PostgresError';
    this.code = refused?.sqlstate ?? fault.tag;
    this.constraint = refused?.constraint;
    this.httpStatus = refused ? statusOfState(refused.sqlstate) : statusFor(fault.tag);
  }

  /** Whether another row holds a value that this index keeps unique. */
  isUnique(constraint: string): boolean {
    return this.code === '23505' && this.constraint === constraint;
  }
}

function parameter(fault: Fault): string {
  if (fault.tag !== 'parameter') return words(fault);
  const [index, why] = fault.val as [number, string];
  return `parameter $${index + 1}: ${why}`;
}

/** A statement that was cancelled, and a server that ends or wants another try. */
function statusOfState(state: string): number {
  if (state === '57014') return 504;
  return state.startsWith('57P') || state.startsWith('08') || state.startsWith('53') || state.startsWith('40') ? 503 : 500;
}

type Asks = Pick<Connection, 'query' | 'execute'>;
const made = (fault: Fault) => new PostgresError(fault);

/** The database that the manifest calls `name`. Wants `postgres` in permissions.toml. */
export function postgres(name: string): Database {
  let open: Connection | undefined;
  const connection = () => (open ??= asked(() => Connection.open(name), made));
  return Object.assign(statements(connection), {
    async transaction<T>(work: (sql: Statements) => Promise<T> | T): Promise<T> {
      const transaction: Transaction = asked(() => connection().begin(undefined), made);
      let result: T;
      try {
        result = await work(statements(() => transaction));
      } catch (error) {
        try {
          rollback(transaction);
        } catch {
          // It has ended already; what is told is why the work failed.
        }
        throw error;
      }
      asked(() => commit(transaction), made);
      return result;
    },
  });
}

function statements(on: () => Asks): Statements {
  const query = <T>(text: string, parameters: Parameter[]) => rows(asked(() => on().query(text, parameters.map(value)), made)) as T[];
  const all = async <T>(text: TemplateStringsArray, ...parameters: Parameter[]) => query<T>(joined(text), parameters);
  return Object.assign(all, {
    query: async <T>(text: string, parameters: Parameter[] = []) => query<T>(text, parameters),
    first: async <T>(text: TemplateStringsArray, ...parameters: Parameter[]) => query<T>(joined(text), parameters)[0],
    run: async (text: TemplateStringsArray, ...parameters: Parameter[]) =>
      Number(asked(() => on().execute(joined(text), parameters.map(value)), made)),
  });
}

const joinedTexts = new WeakMap<TemplateStringsArray, string>();

/** `$1`, `$2` between the pieces; the same text each time, so that it is prepared once. */
function joined(pieces: TemplateStringsArray): string {
  let text = joinedTexts.get(pieces);
  if (text === undefined) {
    text = pieces.reduce((all, piece, at) => `${all}$${at}${piece}`);
    joinedTexts.set(pieces, text);
  }
  return text;
}

function value(of: Parameter): Value {
  switch (typeof of) {
    case 'undefined':
      return { tag: 'null' };
    case 'boolean':
      return { tag: 'boolean', val: of };
    case 'bigint':
      if (BigInt.asIntN(64, of) !== of) return { tag: 'numeric', val: String(of) };
      return { tag: 'int64', val: of };
    case 'number':
      return Number.isSafeInteger(of) ? { tag: 'int64', val: BigInt(of) } : { tag: 'float64', val: of };
    case 'string':
      return { tag: 'text', val: of };
    case 'object':
      return objectValue(of);
    default:
      throw new TypeError(`a ${typeof of} is no parameter of a statement`);
  }
}

function objectValue(of: object | null): Value {
  if (of === null) return { tag: 'null' };
  if (of instanceof Date) return { tag: 'timestamptz', val: BigInt(of.getTime()) * 1000n };
  if (of instanceof Uint8Array) return { tag: 'bytes', val: of };
  if (Array.isArray(of) && of.length > 0) {
    if (of.every((item) => typeof item === 'string' || item instanceof Date || item === null)) return { tag: 'text-array', val: of.map(texts) };
    if (of.every((item) => typeof item === 'bigint' || item === null || Number.isSafeInteger(item))) return { tag: 'int64-array', val: of.map(whole) };
    const raw = written(of);
    if (raw) return { tag: 'raw', val: raw };
  }
  return { tag: 'json', val: stringify(of) };
}

function whole(item: bigint | number | null): bigint | undefined {
  return item === null ? undefined : BigInt(item);
}

function texts(item: string | Date | null): string | undefined {
  return item instanceof Date ? item.toISOString() : (item ?? undefined);
}

function rows(answer: Rows): Row[] {
  if (answer.ready) return answer.ready.raw ? answer.ready.map(unpacked) : answer.ready;
  const names = answer.columns.map((column) => column.name);
  return answer.rows.map(({ values }) => {
    const row: Row = {};
    for (let at = 0; at < names.length; at += 1) row[names[at] as string] = cell(values[at] as Value);
    return row;
  });
}

/** A row of the quick engine, which leaves what is raw to the sdk. */
function unpacked(row: Row): Row {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, isRaw(value) ? known(value) : value]));
}

function cell(value: Value): Cell {
  switch (value.tag) {
    case 'null':
      return null;
    case 'timestamptz':
      return moment(value.val);
    case 'timestamp':
      return local(value.val);
    case 'date':
      return day(value.val);
    case 'time':
      return time(value.val);
    case 'json':
      return JSON.parse(value.val);
    case 'uuid':
      return id(value.val);
    case 'uuid-array':
      return value.val.map((item) => (item ? id(item) : null));
    case 'text-array':
    case 'int64-array':
      return value.val.map((item: string | bigint | undefined) => item ?? null);
    case 'raw':
      return known({ oid: value.val[0], bytes: value.val[1] });
    default:
      return value.val;
  }
}

function id([high, low]: [bigint, bigint]): string {
  const hex = high.toString(16).padStart(16, '0') + low.toString(16).padStart(16, '0');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
