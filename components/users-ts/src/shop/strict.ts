// Reads JSON (RFC 8259) by the shop's rules: valid UTF-8, no key twice, no NUL in a string, at most 32 levels.
// Numbers stay text, so that none is rounded on the way.

export type Json = null | boolean | string | Digits | Json[] | Map<string, Json>;

/** A number as it was written. */
export class Digits {
  constructor(readonly text: string) {}
}

/** Why a text was refused, as a sentence. */
export class Refused extends Error {}

const DEPTH_MAX = 32;

export function kind(value: Json): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return 'a boolean';
  if (typeof value === 'string') return 'a string';
  if (value instanceof Digits) return 'a number';
  return Array.isArray(value) ? 'an array' : 'an object';
}

/** Reads one value and nothing after it. */
export function parse(bytes: Uint8Array): Json {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Refused('The body is not valid UTF-8');
  }
  const reader = new Reader(text);
  const value = reader.value(0, undefined);
  reader.end();
  return value;
}

const WORDS: [string, Json][] = [['null', null], ['true', true], ['false', false]];

class Reader {
  #at = 0;

  constructor(readonly text: string) {}

  value(depth: number, field: string | undefined): Json {
    this.#take(/[ \t\n\r]*/y);
    const first = this.text[this.#at];
    if ((first === '{' || first === '[') && depth === DEPTH_MAX) throw new Refused('The body is nested more than 32 levels deep');
    if (first === '{') return this.#object(depth + 1);
    if (first === '[') return this.#array(depth + 1, field);
    if (first === '"') return this.#string(field);
    const digits = this.#take(/-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y);
    if (digits !== undefined) return new Digits(digits);
    const word = WORDS.find(([name]) => this.text.startsWith(name, this.#at));
    if (!word) throw this.#expected('a value');
    this.#at += word[0].length;
    return word[1];
  }

  end(): void {
    this.#take(/[ \t\n\r]*/y);
    if (this.#at < this.text.length) throw this.#expected('the end');
  }

  #object(depth: number): Json {
    const members = new Map<string, Json>();
    this.#at += 1;
    if (this.#punctuation('}')) return members;
    for (;;) {
      this.#take(/[ \t\n\r]*/y);
      if (this.text[this.#at] !== '"') throw this.#expected('a key in double quotes');
      const key = this.#string(undefined);
      if (!this.#punctuation(':')) throw this.#expected('`:`');
      const value = this.value(depth, key);
      if (members.has(key)) throw new Refused(`Field \`${key.slice(0, 40)}\` is given twice`);
      members.set(key, value);
      if (this.#punctuation('}')) return members;
      if (!this.#punctuation(',')) throw this.#expected('`,` or `}`');
    }
  }

  #array(depth: number, field: string | undefined): Json {
    const items: Json[] = [];
    this.#at += 1;
    if (this.#punctuation(']')) return items;
    for (;;) {
      items.push(this.value(depth, field));
      if (this.#punctuation(']')) return items;
      if (!this.#punctuation(',')) throw this.#expected('`,` or `]`');
    }
  }

  #string(field: string | undefined): string {
    const written = this.#take(/"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y);
    if (written === undefined) {
      if (/"[^"\\\u0001-\u001f]*\0/y.test(this.text.slice(this.#at))) throw nul(field);
      throw this.#expected('a string without control characters');
    }
    // Of a form that is JSON's own.
    const text = JSON.parse(written) as string;
    if (text.includes('\0')) throw nul(field);
    if (!text.isWellFormed()) throw this.#expected('whole surrogate pairs');
    return text;
  }

  #punctuation(mark: string): boolean {
    this.#take(/[ \t\n\r]*/y);
    if (this.text[this.#at] !== mark) return false;
    this.#at += 1;
    return true;
  }

  #take(form: RegExp): string | undefined {
    form.lastIndex = this.#at;
    const found = form.exec(this.text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #expected(what: string): Refused {
    const at = new TextEncoder().encode(this.text.slice(0, this.#at)).length;
    return new Refused(`The body is not valid JSON: expected ${what} at byte ${at}`);
  }
}

function nul(field: string | undefined): Refused {
  return new Refused(field === undefined ? 'The body holds a NUL character' : `Field \`${field.slice(0, 40)}\` holds a NUL character`);
}
