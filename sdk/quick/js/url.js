// Addresses. Rust parses them; here are the parts, cut out where they are asked for.
const textOf = (value) => `${value}`;

class URL {
  #href;
  #at;
  #search;

  constructor(address, base) {
    this.#take(native.urlParse(textOf(address), base === undefined ? undefined : textOf(base)), address);
  }

  static canParse(address, base) {
    return native.urlParse(textOf(address), base === undefined ? undefined : textOf(base)) !== undefined;
  }

  static parse(address, base) {
    return URL.canParse(address, base) ? new URL(address, base) : null;
  }

  #take(parts, address) {
    if (parts === undefined) throw new TypeError(`Invalid URL: ${address}`);
    this.#href = parts[0];
    this.#at = parts;
  }

  #part(from, to) {
    return this.#href.slice(this.#at[from], this.#at[to]);
  }

  #set(part, value) {
    this.#take(native.urlSet(this.#href, part, textOf(value)), this.#href);
    if (part === 'search') this.#search?._reload(this.search);
  }

  get href() {
    return this.#href;
  }

  set href(value) {
    this.#take(native.urlParse(textOf(value)), value);
    this.#search?._reload(this.search);
  }

  get origin() {
    return native.urlOrigin(this.#href);
  }

  get protocol() {
    return this.#href.slice(0, this.#at[1] + 1);
  }

  set protocol(value) {
    this.#set('protocol', value);
  }

  get username() {
    return this.#part(2, 3);
  }

  set username(value) {
    this.#set('username', value);
  }

  get password() {
    return this.#part(4, 5);
  }

  set password(value) {
    this.#set('password', value);
  }

  get host() {
    return this.#part(6, 9);
  }

  set host(value) {
    this.#set('host', value);
  }

  get hostname() {
    return this.#part(6, 7);
  }

  set hostname(value) {
    this.#set('hostname', value);
  }

  get port() {
    return this.#part(8, 9);
  }

  set port(value) {
    this.#set('port', value);
  }

  get pathname() {
    return this.#part(10, 11);
  }

  set pathname(value) {
    this.#set('pathname', value);
  }

  get search() {
    const query = this.#part(12, 13);
    return query === '' ? '' : `?${query}`;
  }

  set search(value) {
    this.#set('search', value);
  }

  get hash() {
    const fragment = this.#href.slice(this.#at[14]);
    return fragment === '' ? '' : `#${fragment}`;
  }

  set hash(value) {
    this.#set('hash', value);
  }

  get searchParams() {
    this.#search ??= new URLSearchParams(this.search)._of((query) => {
      this.#take(native.urlSet(this.#href, 'search', query), this.#href);
    });
    return this.#search;
  }

  toString() {
    return this.#href;
  }

  toJSON() {
    return this.#href;
  }
}

class URLSearchParams {
  /** Names and values, one after the other. */
  #list;
  #changed;

  constructor(from = '') {
    if (typeof from === 'object' && from !== null) {
      const pairs = from[Symbol.iterator] ? [...from].map((pair) => [...pair]) : Object.entries(from);
      if (pairs.some((pair) => pair.length !== 2)) throw new TypeError('each pair has a name and a value');
      this.#list = pairs.flat().map(textOf);
    } else {
      this._reload(textOf(from));
    }
  }

  _reload(query) {
    const text = query.startsWith('?') ? query.slice(1) : query;
    this.#list = text === '' ? [] : native.formDecode(text);
  }

  _of(changed) {
    this.#changed = changed;
    return this;
  }

  #edit(list) {
    this.#list = list;
    this.#changed?.(this.toString());
  }

  get size() {
    return this.#list.length / 2;
  }

  get(name) {
    for (let at = 0; at < this.#list.length; at += 2) if (this.#list[at] === name) return this.#list[at + 1];
    return null;
  }

  getAll(name) {
    return [...this].filter(([known]) => known === name).map(([, value]) => value);
  }

  has(name, value) {
    return [...this].some(([known, held]) => known === name && (value === undefined || held === value));
  }

  append(name, value) {
    this.#edit([...this.#list, textOf(name), textOf(value)]);
  }

  set(name, value) {
    const all = [...this];
    const first = all.findIndex(([known]) => known === name);
    if (first < 0) return this.append(name, value);
    all[first] = [textOf(name), textOf(value)];
    this.#edit(all.filter(([known], at) => at <= first || known !== name).flat());
  }

  delete(name, value) {
    this.#edit([...this].filter(([known, held]) => known !== name || (value !== undefined && held !== value)).flat());
  }

  sort() {
    this.#edit([...this].sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0)).flat());
  }

  forEach(each, self) {
    for (const [name, value] of this) each.call(self, value, name, this);
  }

  *entries() {
    for (let at = 0; at < this.#list.length; at += 2) yield [this.#list[at], this.#list[at + 1]];
  }

  *keys() {
    for (const [name] of this) yield name;
  }

  *values() {
    for (const [, value] of this) yield value;
  }

  toString() {
    return native.formEncode(this.#list);
  }
}
URLSearchParams.prototype[Symbol.iterator] = URLSearchParams.prototype.entries;
