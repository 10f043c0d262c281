// Streams with default readers and writers. Readers of bytes into a buffer of one's own (`mode: 'byob'`) are not here.
class ReadableStreamDefaultController {
  #stream;

  constructor(stream) {
    this.#stream = stream;
  }

  get desiredSize() {
    const { state, queue, limit } = this.#stream._;
    return state === 'errored' ? null : state === 'closed' ? 0 : limit - queue.length;
  }

  enqueue(chunk) {
    const inner = this.#stream._;
    if (inner.state !== 'readable' || inner.isClosing) throw new TypeError('the stream is closed');
    const waiting = inner.waiting.shift();
    if (waiting) waiting.resolve({ value: chunk, done: false });
    else inner.queue.push(chunk);
  }

  close() {
    const inner = this.#stream._;
    if (inner.state !== 'readable' || inner.isClosing) throw new TypeError('the stream is closed');
    inner.isClosing = true;
    if (inner.queue.length === 0) closeStream(inner);
  }

  error(reason) {
    failStream(this.#stream._, reason);
  }
}

function closeStream(inner) {
  inner.state = 'closed';
  for (const waiting of inner.waiting.splice(0)) waiting.resolve({ value: undefined, done: true });
  inner.ended.resolve();
}

function failStream(inner, reason) {
  if (inner.state !== 'readable') return;
  Object.assign(inner, { state: 'errored', reason, queue: [] });
  for (const waiting of inner.waiting.splice(0)) waiting.reject(reason);
  inner.ended.promise.catch(() => {});
  inner.ended.reject(reason);
}

/** Asks the source for more, unless it has been asked already or has more than is wanted. */
function pullStream(inner) {
  if (!inner.source.pull || inner.isPulling || inner.state !== 'readable' || inner.isClosing) return;
  if (inner.waiting.length === 0 && inner.queue.length >= inner.limit) return;
  inner.isPulling = true;
  inner.started
    .then(() => inner.source.pull(inner.controller))
    .then(
      () => {
        inner.isPulling = false;
        pullStream(inner);
      },
      (reason) => failStream(inner, reason),
    );
}

function readStream(inner) {
  if (inner.queue.length > 0) {
    const value = inner.queue.shift();
    if (inner.isClosing && inner.queue.length === 0) closeStream(inner);
    else pullStream(inner);
    return Promise.resolve({ value, done: false });
  }
  if (inner.state === 'closed') return Promise.resolve({ value: undefined, done: true });
  if (inner.state === 'errored') return Promise.reject(inner.reason);
  const waiting = Promise.withResolvers();
  inner.waiting.push(waiting);
  pullStream(inner);
  return waiting.promise;
}

async function cancelStream(inner, reason) {
  if (inner.state === 'errored') throw inner.reason;
  if (inner.state === 'closed') return;
  inner.queue = [];
  closeStream(inner);
  await inner.source.cancel?.(reason);
}

class ReadableStreamDefaultReader {
  #stream;

  constructor(stream) {
    if (stream.locked) throw new TypeError('the stream is locked to another reader');
    this.#stream = stream;
    stream._.reader = this;
  }

  get closed() {
    return this.#inner().ended.promise;
  }

  async read() {
    return readStream(this.#inner());
  }

  async cancel(reason) {
    return cancelStream(this.#inner(), reason);
  }

  releaseLock() {
    if (!this.#stream) return;
    this.#stream._.reader = undefined;
    this.#stream = undefined;
  }

  #inner() {
    if (!this.#stream) throw new TypeError('the reader has let go of its stream');
    return this.#stream._;
  }
}

class ReadableStream {
  constructor(source = {}, { highWaterMark = 1 } = {}) {
    if (source?.type === 'bytes' && source.autoAllocateChunkSize !== undefined) throw unsupported('a stream that allocates its chunks');
    const inner = {
      source: source ?? {}, state: 'readable', queue: [], waiting: [], limit: highWaterMark, isClosing: false, isPulling: false,
      reader: undefined, reason: undefined, ended: Promise.withResolvers(), controller: undefined, started: undefined,
    };
    Object.defineProperty(this, '_', { value: inner });
    inner.controller = new ReadableStreamDefaultController(this);
    const begun = inner.source.start?.(inner.controller);
    inner.started = Promise.resolve(begun);
    inner.started.then(() => pullStream(inner), (reason) => failStream(inner, reason));
  }

  static from(items) {
    const from = items[Symbol.asyncIterator]?.() ?? items[Symbol.iterator]();
    return new ReadableStream({
      async pull(controller) {
        const { value, done } = await from.next();
        if (done) controller.close();
        else controller.enqueue(await value);
      },
      cancel: async () => void (await from.return?.()),
    }, { highWaterMark: 0 });
  }

  get locked() {
    return this._.reader !== undefined;
  }

  getReader(options) {
    if (options?.mode === 'byob') throw unsupported('a reader with `mode: "byob"`');
    return new ReadableStreamDefaultReader(this);
  }

  async cancel(reason) {
    if (this.locked) throw new TypeError('the stream is locked');
    return cancelStream(this._, reason);
  }

  async *values({ preventCancel = false } = {}) {
    const reader = this.getReader();
    let isDone = false;
    try {
      for (;;) {
        const { value, done } = await reader.read();
        isDone = done;
        if (done) return;
        yield value;
      }
    } finally {
      if (!isDone && !preventCancel) await reader.cancel();
      reader.releaseLock();
    }
  }

  tee() {
    const reader = this.getReader();
    const controllers = [];
    const pull = async () => {
      const { value, done } = await reader.read();
      for (const controller of controllers) {
        if (done) controller.close();
        else controller.enqueue(value);
      }
    };
    let pulling;
    const both = () => (pulling ??= pull().finally(() => (pulling = undefined)));
    const branch = () => new ReadableStream({ start: (controller) => void controllers.push(controller), pull: both }, { highWaterMark: 0 });
    return [branch(), branch()];
  }

  async pipeTo(target, { preventClose = false, preventAbort = false, preventCancel = false, signal } = {}) {
    const [reader, writer] = [this.getReader(), target.getWriter()];
    try {
      for (;;) {
        signal?.throwIfAborted();
        const { value, done } = await reader.read();
        if (done) break;
        await writer.ready;
        await writer.write(value);
      }
      if (!preventClose) await writer.close();
    } catch (reason) {
      if (!preventCancel) await reader.cancel(reason).catch(() => {});
      if (!preventAbort) await writer.abort(reason).catch(() => {});
      throw reason;
    } finally {
      reader.releaseLock();
      writer.releaseLock();
    }
  }

  pipeThrough({ readable, writable }, options) {
    this.pipeTo(writable, options).catch(() => {});
    return readable;
  }
}
ReadableStream.prototype[Symbol.asyncIterator] = ReadableStream.prototype.values;

class WritableStreamDefaultWriter {
  #stream;

  constructor(stream) {
    if (stream.locked) throw new TypeError('the stream is locked to another writer');
    this.#stream = stream;
    stream._.writer = this;
  }

  get ready() {
    return this.#inner().last.catch(() => {});
  }

  get closed() {
    return this.#inner().ended.promise;
  }

  get desiredSize() {
    return this.#inner().state === 'writable' ? 1 : 0;
  }

  write(chunk) {
    return writeStream(this.#inner(), () => this.#stream._.sink.write?.(chunk, this.#stream._.controller));
  }

  async close() {
    const inner = this.#inner();
    await writeStream(inner, () => inner.sink.close?.(inner.controller));
    inner.state = 'closed';
    inner.ended.resolve();
  }

  async abort(reason) {
    const inner = this.#inner();
    if (inner.state !== 'writable') return;
    failSink(inner, reason);
    await inner.sink.abort?.(reason);
  }

  releaseLock() {
    if (!this.#stream) return;
    this.#stream._.writer = undefined;
    this.#stream = undefined;
  }

  #inner() {
    if (!this.#stream) throw new TypeError('the writer has let go of its stream');
    return this.#stream._;
  }
}

function failSink(inner, reason) {
  if (inner.state !== 'writable') return;
  Object.assign(inner, { state: 'errored', reason });
  inner.ended.promise.catch(() => {});
  inner.ended.reject(reason);
}

/** One after the other. */
function writeStream(inner, work) {
  const turn = inner.last.then(async () => {
    if (inner.state === 'errored') throw inner.reason;
    if (inner.state === 'closed') throw new TypeError('the stream is closed');
    try {
      await work();
    } catch (reason) {
      failSink(inner, reason);
      throw reason;
    }
  });
  inner.last = turn.catch(() => {});
  return turn;
}

class WritableStream {
  constructor(sink = {}) {
    const inner = { sink, state: 'writable', reason: undefined, writer: undefined, last: undefined, ended: Promise.withResolvers() };
    Object.defineProperty(this, '_', { value: inner });
    inner.controller = { error: (reason) => failSink(inner, reason), signal: new AbortController().signal };
    inner.last = Promise.resolve(sink.start?.(inner.controller)).catch((reason) => failSink(inner, reason));
  }

  get locked() {
    return this._.writer !== undefined;
  }

  getWriter() {
    return new WritableStreamDefaultWriter(this);
  }

  async close() {
    return this.getWriter().close();
  }

  async abort(reason) {
    return this.getWriter().abort(reason);
  }
}

class TransformStream {
  constructor(transformer = {}) {
    let to;
    this.readable = new ReadableStream({ start: (controller) => void (to = controller) }, { highWaterMark: 0 });
    const controller = {
      enqueue: (chunk) => to.enqueue(chunk),
      error: (reason) => to.error(reason),
      terminate: () => to.close(),
      get desiredSize() {
        return to.desiredSize;
      },
    };
    const transform = transformer.transform?.bind(transformer) ?? ((chunk) => to.enqueue(chunk));
    this.writable = new WritableStream({
      start: () => transformer.start?.(controller),
      write: (chunk) => transform(chunk, controller),
      async close() {
        await transformer.flush?.(controller);
        if (to.desiredSize !== null) to.close();
      },
      abort: (reason) => to.error(reason),
    });
  }
}

class TextEncoderStream extends TransformStream {
  constructor() {
    super({ transform: (chunk, controller) => controller.enqueue(encodeText(String(chunk))) });
  }
}

class TextDecoderStream extends TransformStream {
  constructor(label, options) {
    const decoder = new TextDecoder(label, options);
    super({
      transform: (chunk, controller) => controller.enqueue(decoder.decode(chunk, { stream: true })),
      flush: (controller) => {
        const rest = decoder.decode();
        if (rest !== '') controller.enqueue(rest);
      },
    });
  }
}

class ByteLengthQueuingStrategy {
  constructor({ highWaterMark }) {
    this.highWaterMark = highWaterMark;
  }
}

class CountQueuingStrategy extends ByteLengthQueuingStrategy {}
