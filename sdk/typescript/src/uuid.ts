// Ids that sort by time (UUID version 7), and what is one at all.

const FORM = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export const uuid = {
  /** A new one; of two made in different milliseconds the later sorts last. */
  v7(now: number = Date.now()): string {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    let time = now;
    for (let at = 5; at >= 0; at -= 1) {
      bytes[at] = time % 256;
      time = Math.floor(time / 256);
    }
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    return format(bytes);
  },
  /** In lower case, if it is one with its hyphens. */
  parse(text: string): string | undefined {
    return FORM.test(text) ? text.toLowerCase() : undefined;
  },
};

function format(bytes: Uint8Array): string {
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
