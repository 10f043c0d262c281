// Headers: names in lower case; several of one name are one, but for cookies that are set.
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const UNFIT = /[\0\r\n]/;
const known = new Map();

/** In lower case, if it is a name; those that were seen are remembered. */
function headerName(name) {
  const found = known.get(name);
  if (found !== undefined) return found;
  const text = textOf(name);
  if (!TOKEN.test(text)) throw new TypeError(`\`${text}\` is no name of a header`);
  const lower = text.toLowerCase();
  if (known.size < 256) known.set(name, lower);
  return lower;
}

function headerValue(value) {
  const text = textOf(value).trim();
  if (UNFIT.test(text)) throw new TypeError('the value of a header has a line break in it');
  return text;
}

let listOf;
let headersOf;

class Headers {
  /** Names and values, one after the other. */
  #list = [];

  static {
    listOf = (headers) => headers.#list;
    headersOf = (list) => {
      const headers = new Headers();
      headers.#list = list;
      return headers;
    };
  }

  constructor(from) {
    if (from === undefined || from === null) return;
    if (from instanceof Headers) {
      this.#list = from.#list.slice();
    } else if (typeof from !== 'object') {
      throw new TypeError('headers are an object, or a list of pairs');
    } else if (typeof from[Symbol.iterator] === 'function') {
      for (const pair of from) {
        const [name, value, ...more] = pair;
        if (value === undefined || more.length > 0) throw new TypeError('each pair has a name and a value');
        this.append(name, value);
      }
    } else {
      for (const name of Object.keys(from)) this.append(name, from[name]);
    }
  }

  append(name, value) {
    this.#list.push(headerName(name), headerValue(value));
  }

  set(name, value) {
    const [own, text] = [headerName(name), headerValue(value)];
    const at = this.#find(own);
    if (at < 0) return void this.#list.push(own, text);
    this.#list[at + 1] = text;
    if (this.#find(own, at + 2) >= 0) this.#list = this.#list.filter((_item, index) => (index & ~1) <= at || this.#list[index & ~1] !== own);
  }

  delete(name) {
    const own = headerName(name);
    if (this.#find(own) >= 0) this.#list = this.#list.filter((_item, index) => this.#list[index & ~1] !== own);
  }

  has(name) {
    return this.#find(headerName(name)) >= 0;
  }

  get(name) {
    const own = headerName(name);
    let at = this.#find(own);
    if (at < 0) return null;
    let value = this.#list[at + 1];
    while ((at = this.#find(own, at + 2)) >= 0) value += `, ${this.#list[at + 1]}`;
    return value;
  }

  getSetCookie() {
    return this.#list.filter((_item, index) => index % 2 === 1 && this.#list[index - 1] === 'set-cookie');
  }

  forEach(each, self) {
    for (const [name, value] of this) each.call(self, value, name, this);
  }

  *entries() {
    const names = [...new Set(this.#list.filter((_item, index) => index % 2 === 0))].sort();
    for (const name of names) {
      if (name === 'set-cookie') for (const cookie of this.getSetCookie()) yield [name, cookie];
      else yield [name, this.get(name)];
    }
  }

  *keys() {
    for (const [name] of this) yield name;
  }

  *values() {
    for (const [, value] of this) yield value;
  }

  #find(own, from = 0) {
    const list = this.#list;
    for (let at = from; at < list.length; at += 2) if (list[at] === own) return at;
    return -1;
  }
}
Headers.prototype[Symbol.iterator] = Headers.prototype.entries;
