// Events, and signals that end what takes too long.
class Event {
  #prevented = false;

  constructor(type, { cancelable = false, bubbles = false } = {}) {
    Object.assign(this, { type: String(type), cancelable, bubbles, target: null, currentTarget: null, timeStamp: native.now() });
  }

  get defaultPrevented() {
    return this.#prevented;
  }

  preventDefault() {
    this.#prevented = this.cancelable;
  }

  stopPropagation() {}

  stopImmediatePropagation() {
    this.isStopped = true;
  }
}

class CustomEvent extends Event {
  constructor(type, options = {}) {
    super(type, options);
    this.detail = options.detail ?? null;
  }
}

class EventTarget {
  #listeners = new Map();

  addEventListener(type, listener, options = {}) {
    if (listener === null || listener === undefined) return;
    const all = this.#listeners.get(type) ?? [];
    if (all.some((known) => known.listener === listener)) return;
    const once = typeof options === 'object' && Boolean(options.once);
    this.#listeners.set(type, [...all, { listener, once }]);
  }

  removeEventListener(type, listener) {
    this.#listeners.set(type, (this.#listeners.get(type) ?? []).filter((known) => known.listener !== listener));
  }

  dispatchEvent(event) {
    event.target = event.currentTarget = this;
    const direct = this[`on${event.type}`];
    if (typeof direct === 'function') direct.call(this, event);
    for (const { listener, once } of this.#listeners.get(event.type) ?? []) {
      if (event.isStopped) break;
      if (once) this.removeEventListener(event.type, listener);
      if (typeof listener === 'function') listener.call(this, event);
      else listener.handleEvent(event);
    }
    return !event.defaultPrevented;
  }
}

let abortOf;

class AbortSignal extends EventTarget {
  #aborted = false;
  #reason;
  onabort = null;

  static {
    abortOf = (signal, reason) => {
      if (signal.#aborted) return;
      signal.#aborted = true;
      signal.#reason = reason ?? new DOMError('This operation was aborted', 'AbortError');
      signal.dispatchEvent(new Event('abort'));
    };
  }

  static abort(reason) {
    const signal = new AbortSignal();
    abortOf(signal, reason);
    return signal;
  }

  static timeout(millis) {
    const signal = new AbortSignal();
    setTimeout(() => abortOf(signal, new DOMError('The operation timed out', 'TimeoutError')), millis);
    return signal;
  }

  static any(signals) {
    const any = new AbortSignal();
    for (const signal of signals) {
      if (signal.aborted) abortOf(any, signal.reason);
      else signal.addEventListener('abort', () => abortOf(any, signal.reason));
    }
    return any;
  }

  get aborted() {
    return this.#aborted;
  }

  get reason() {
    return this.#reason;
  }

  throwIfAborted() {
    if (this.#aborted) throw this.#reason;
  }
}

class AbortController {
  signal = new AbortSignal();

  abort(reason) {
    abortOf(this.signal, reason);
  }
}
