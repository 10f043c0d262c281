// Microseconds and days since 1970, as PostgreSQL counts them, in the language's own words.

/** Down to the millisecond before, as PostgreSQL's own texts cut it. */
export function moment(micros: bigint): Date {
  return new Date(Number((micros - (((micros % 1000n) + 1000n) % 1000n)) / 1000n));
}

/** `2026-01-02T03:04:05.000006`, without a zone. */
export function local(micros: bigint): string {
  const rest = ((micros % 1000n) + 1000n) % 1000n;
  return moment(micros).toISOString().slice(0, -1) + String(rest).padStart(3, '0');
}

/** `03:04:05.000006`. */
export function time(micros: bigint): string {
  return local(micros).slice(11);
}

/** `2026-01-02`. */
export function day(days: number): string {
  return new Date(days * 86_400_000).toISOString().slice(0, 10);
}

/** A span as ISO 8601 writes it, `P1M2DT3.5S`: a month is no number of days, nor a day one of hours. */
export function span(months: number, days: number, micros: bigint): string {
  const years = Math.trunc(months / 12);
  const parts = ([[years, 'Y'], [months % 12, 'M'], [days, 'D']] as const).filter(([count]) => count !== 0).map(([count, unit]) => `${count}${unit}`);
  if (micros === 0n && parts.length > 0) return `P${parts.join('')}`;
  const size = micros < 0n ? -micros : micros;
  const fraction = String(size % 1_000_000n).padStart(6, '0').replace(/0+$/, '');
  return `P${parts.join('')}T${micros < 0n ? '-' : ''}${size / 1_000_000n}${fraction && `.${fraction}`}S`;
}
