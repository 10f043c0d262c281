// The host's interfaces, as the sdk imports them: wit/ in JavaScript's words.
class Database {
  #number;

  constructor(number) {
    this.#number = number;
  }

  static open(name) {
    return new Database(native.databaseOpen(name));
  }

  query(sql, parameters) {
    return { ready: native.databaseQuery(this.#number, sql, parameters) };
  }

  execute(sql, parameters) {
    return native.databaseExecute(this.#number, sql, parameters);
  }

  begin() {
    return new Transaction(native.databaseBegin(this.#number));
  }
}

class Transaction {
  constructor(number) {
    this._number = number;
  }

  query(sql, parameters) {
    return { ready: native.transactionQuery(this._number, sql, parameters) };
  }

  execute(sql, parameters) {
    return native.transactionExecute(this._number, sql, parameters);
  }
}

class Bucket {
  #number;

  constructor(number) {
    this.#number = number;
  }

  static open(name) {
    return new Bucket(native.bucketOpen(name));
  }

  get(key) {
    return native.bucketGet(this.#number, key) ?? undefined;
  }

  getMany(keys) {
    return native.bucketGetMany(this.#number, keys).map((entry) => entry ?? undefined);
  }

  set(key, value, ttlMs, when) {
    return native.bucketSet(this.#number, key, value, ttlMs, when);
  }

  delete(key) {
    return native.bucketDelete(this.#number, key);
  }

  increment(key, delta) {
    return native.bucketIncrement(this.#number, key, delta);
  }

  listKeys(prefix, limit, cursor) {
    return native.bucketListKeys(this.#number, prefix, limit, cursor);
  }

  append(key, value, keep) {
    return native.bucketAppend(this.#number, key, value, keep);
  }

  readList(key, offset, limit) {
    return native.bucketReadList(this.#number, key, offset, limit);
  }

  insert(key, id, value, keep) {
    return native.bucketInsert(this.#number, key, id, value, keep);
  }

  readSorted(key, start, limit) {
    return native.bucketReadSorted(this.#number, key, start, limit);
  }
}

function environment() {
  const list = native.environment();
  return Array.from({ length: list.length / 2 }, (_none, at) => [list[2 * at], list[2 * at + 1]]);
}

const interfaces = {
  'wasi:cli/environment': { getEnvironment: environment },
  'wasi:clocks/wall-clock': { now: () => native.wallClock() },
  'wasi:otel/tracing': {
    outerSpanContext: () => native.spanOuter(),
    onStart: (context) => native.spanStart(context),
    onEnd: (span) => native.spanEnd(span),
  },
  'archipel:postgres/client': {
    Database,
    commit: (transaction) => native.commit(transaction._number),
    rollback: (transaction) => native.rollback(transaction._number),
  },
  'archipel:keyvalue/store': { Bucket },
  'archipel:messaging/producer': { publish: (message, options) => native.publish(message, options) },
  'archipel:identity/tokens': { sign: (auth, { subject, roles, ttlSeconds }) => native.sign(auth, subject, roles, ttlSeconds) },
  'archipel:identity/passwords': {
    hash: (password) => native.hashPassword(password),
    verify: (password, hash) => native.verifyPassword(password, hash),
  },
};

/** What the sdk's entry asks of the engine itself. */
const archipel = {
  interfaces,
  request: requestOf,
  /** Names and values, one after the other. */
  headers: (response) => listOf(response.headers),
  /** A text or bytes that are there, a stream, or nothing. */
  body: (response) => {
    const { text, bytes, stream } = takeOf(response);
    return text === undefined ? (bytes ?? stream) : text.isWellFormed() ? text : text.toWellFormed();
  },
  drained,
};
