// Random numbers, digests, and signatures with a shared key.
const HEX = Array.from({ length: 256 }, (_none, byte) => byte.toString(16).padStart(2, '0'));

const digestName = (algorithm) => textOf(typeof algorithm === 'object' ? algorithm.name : algorithm).toUpperCase();

class CryptoKey {
  #secret;

  constructor(secret, hash, extractable, usages) {
    this.#secret = secret;
    Object.assign(this, { type: 'secret', extractable, usages, algorithm: { name: 'HMAC', hash: { name: hash }, length: secret.length * 8 } });
    Object.freeze(this);
  }

  static _secret(key, usage) {
    if (!key.usages.includes(usage)) throw new DOMError(`the key is not for \`${usage}\``, 'InvalidAccessError');
    return key.#secret;
  }

  static _raw(key) {
    if (!key.extractable) throw new DOMError('the key is not extractable', 'InvalidAccessError');
    return key.#secret.slice();
  }
}

const absent = (name) => async () => {
  throw unsupported(`crypto.subtle.${name}`);
};

const signature = (key, usage, data) => native.hmac(key.algorithm.hash.name, CryptoKey._secret(key, usage), bytesOf(data));
const isHmac = (algorithm) => digestName(algorithm) === 'HMAC';

const subtle = {
  digest: async (algorithm, data) => native.digest(digestName(algorithm), bytesOf(data)).buffer,
  async importKey(format, data, algorithm, extractable, usages) {
    if (format !== 'raw' || !isHmac(algorithm)) throw unsupported(`crypto.subtle.importKey of \`${format}\` for ${digestName(algorithm)}`);
    return new CryptoKey(bytesOf(data).slice(), digestName(algorithm.hash), Boolean(extractable), [...usages]);
  },
  async exportKey(format, key) {
    if (format !== 'raw') throw unsupported(`crypto.subtle.exportKey of \`${format}\``);
    return CryptoKey._raw(key).buffer;
  },
  async sign(algorithm, key, data) {
    if (!isHmac(algorithm)) throw unsupported(`crypto.subtle.sign with ${digestName(algorithm)}`);
    return signature(key, 'sign', data).buffer;
  },
  async verify(algorithm, key, given, data) {
    if (!isHmac(algorithm)) throw unsupported(`crypto.subtle.verify with ${digestName(algorithm)}`);
    return native.isSame(signature(key, 'verify', data), bytesOf(given));
  },
};
for (const name of ['encrypt', 'decrypt', 'generateKey', 'deriveKey', 'deriveBits', 'wrapKey', 'unwrapKey']) subtle[name] = absent(name);

const crypto = {
  subtle,
  getRandomValues(array) {
    if (!ArrayBuffer.isView(array) || array instanceof Float32Array || array instanceof Float64Array) {
      throw new DOMError('an array of integers is wanted', 'TypeMismatchError');
    }
    if (array.byteLength > 65536) throw new DOMError('at most 65536 bytes at once', 'QuotaExceededError');
    bytesOf(array).set(native.random(array.byteLength));
    return array;
  },
  randomUUID() {
    const bytes = native.random(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = (from, to) => {
      let text = '';
      for (let at = from; at < to; at += 1) text += HEX[bytes[at]];
      return text;
    };
    return `${hex(0, 4)}-${hex(4, 6)}-${hex(6, 8)}-${hex(8, 10)}-${hex(10, 16)}`;
  },
};

/** The engine's own random numbers began when the service was built: here are those of this instance. xoshiro128++. */
let random;

function seed() {
  const state = new Uint32Array(native.random(16).buffer);
  const turned = (word, by) => (word << by) | (word >>> (32 - by));
  const next = () => {
    const result = (turned((state[0] + state[3]) | 0, 7) + state[0]) >>> 0;
    const held = state[1] << 9;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= held;
    state[3] = turned(state[3], 11);
    return result;
  };
  random = () => ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992;
}

Math.random = () => {
  if (random === undefined) seed();
  return random();
};
