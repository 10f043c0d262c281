// Databases that answer what a test has said, statement by statement: in the place of `archipel:postgres/client`.
import type { Rows, Value } from 'archipel:postgres/client@0.1.0';
import { current, notSet, refuse, type Answered } from './state.ts';
import { cells, parameters } from './values.ts';

class Asks {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  query(sql: string, given: Value[]): Rows {
    const answered = answer(this.name, sql, given);
    return 'rows' in answered ? cells(answered.rows) : { columns: [], rows: [] };
  }

  execute(sql: string, given: Value[]): bigint {
    const answered = answer(this.name, sql, given);
    return BigInt('rows' in answered ? answered.rows.length : answered.changed);
  }
}

export class Database extends Asks {
  static open(name: string): Database {
    const state = current(`postgres('${name}')`);
    if (!state.databases.has(name)) notSet(`there is no database \`${name}\` in this test`, `host.postgres('${name}')`);
    return new Database(name);
  }

  begin(): Transaction {
    return new Transaction(this.name);
  }
}

export class Transaction extends Asks {}

export function commit(transaction: Transaction): void {
  known(transaction.name).commits += 1;
}

export function rollback(transaction: Transaction): void {
  known(transaction.name).rollbacks += 1;
}

function known(name: string) {
  const database = current('a statement').databases.get(name);
  return database ?? notSet(`there is no database \`${name}\` in this test`, `host.postgres('${name}')`);
}

/** With one space where there is any: a statement over several lines is found by its words. */
export function spaced(sql: string): string {
  return sql.trim().replaceAll(/\s+/g, ' ');
}

function answer(name: string, sql: string, given: Value[]): Exclude<Answered, { fault: unknown }> {
  const database = known(name);
  const text = spaced(sql);
  database.statements.push({ sql: text, parameters: given });
  const rule = database.rules.findLast((candidate) => text.includes(candidate.part));
  if (!rule) {
    notSet(`no answer is set for this statement of database \`${name}\`: ${text}\n`, `host.postgres('${name}').on('part of the statement').rows([{ column: value }]), or .changed(1), or .fails('timeout')`);
  }
  const answered = rule.answer(parameters(given));
  return 'fault' in answered ? refuse(answered.fault) : answered;
}
