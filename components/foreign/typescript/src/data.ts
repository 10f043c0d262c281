// Databases, stores and events, by what the manifest grants.
import { json, kv, PostgresError, postgres, publish, router, span } from 'archipel';

const sql = postgres('shop');
const cache = kv('cache');

export const data = router()
  .get('/data/types', async () => {
    const at = new Date('2026-01-02T03:04:05.678Z');
    const row = await sql.first`select ${9007199254740993n}::bigint as big, ${2 ** 31 - 1}::int as whole, ${0.5}::float8 as half,
      ${'12.50'}::numeric as money, ${at}::timestamptz as at, ${'0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071'}::uuid as id, ${null}::text as none,
      ${{ a: [1n, 'b'] }}::jsonb as doc, ${['a', 'b']}::text[] as texts, ${[1, 2n]}::bigint[] as numbers, ${true}::boolean as yes,
      '2026-01-02'::date as day, '03:04:05.000006'::time as hour, '2026-01-02 03:04:05.000006'::timestamp as local,
      ${new Uint8Array([1, 2])}::bytea as bytes`;
    return { ...row, bytes: [...row?.bytes] };
  })
  .get('/data/times', async () => {
    const at = new Date('2026-01-02T03:04:05.678Z');
    const row = await sql.first`select ${'P1Y2M3DT4H5M6.000007S'}::interval as span, ${'-1.5 seconds'}::interval as back, ${[at, null]}::timestamptz[] as moments,
      ${['2026-01-02', null]}::date[] as days, ${['03:04:05.000006']}::time[] as hours, ${['2026-01-02T03:04:05.000006']}::timestamp[] as locals,
      ${['1 mon', '2 days']}::interval[] as spans, array[true, null, false] as flags, array[0.5, -1e300]::float8[] as floats,
      '{}'::date[] as none, array['infinity'::timestamptz] as endless, array[array[1.5]]::float8[] as deep`;
    return { ...row, moment: row?.moments[0] instanceof Date, endless: row?.endless.oid, deep: row?.deep.oid };
  })
  .get('/data/arrays', async () => {
    const digits = ['12345678901234567890.123456789', '-0.00050', '0', '100000', '0.0', null, 'NaN', '-7e-20', '10000.00001'];
    return await sql.first`select ${digits}::numeric[] as digits, ${[1.5, -0, 1e300, null, 2]}::float8[] as floats,
      ${[1, 2]}::float8[] as whole, ${[0.5, 3]}::float8[]::real[] as small, ${[true, null, false]}::boolean[] as flags,
      ${[1n, null, 3]}::bigint[] as big, array['1e4'::numeric, '9999.9999'] as computed, '{}'::numeric[] as none`;
  })
  .get('/data/error', async () => {
    try {
      await sql`insert into notes (text) values (${'twice'}), (${'twice'})`;
    } catch (error) {
      if (error instanceof PostgresError) return { code: error.code, unique: error.isUnique('notes_text_key'), status: error.httpStatus };
      throw error;
    }
  })
  .get('/data/undone', async () => {
    const failed = await sql.transaction(async (work) => {
      await work.run`insert into notes (text) values ('undone')`;
      throw new Error('on purpose');
    }).catch((error: Error) => error.message);
    const done = await sql.transaction((work) => work.run`insert into notes (text) values ('done')`);
    return { failed, done, notes: (await sql`select text from notes`).map((row) => row.text) };
  })
  .get('/data/injection', async () => await sql`select ${"'; drop table notes; --"} as text`)
  .get('/data/span', async () => span('look around', { notes: 3n, deep: { a: 'b' } }, async (own) => {
    await sql`select text from notes`;
    own.set('seen', true);
    const failed = await span('give up', () => {
      throw new RangeError('no way');
    }).catch((error: Error) => error.message);
    return { failed, given: await span('give', () => 7) };
  }))
  .get('/data/kv', async () => {
    const first = await cache.set('a', 'one', { ifAbsent: true });
    const second = await cache.set('a', 'two', { ifAbsent: true });
    const entry = await cache.get('a');
    const changed = await cache.set('a', JSON.stringify({ n: 3 }), { ifVersion: entry?.version ?? 0n, ttlMs: 60_000 });
    return {
      first, second, text: entry?.text(), changed, json: (await cache.get('a'))?.json(), sum: await cache.increment('n', 41n),
      more: await cache.increment('n'), gone: await cache.delete('a'), none: (await cache.get('a')) ?? null,
    };
  })
  .post('/data/publish', async (request) => json({ id: await publish('note.made', await request.json(), { key: 'k' }) }, { status: 202 }))
  .get('/data/handled', async () => (await cache.readList('handled')).map((bytes) => JSON.parse(new TextDecoder().decode(bytes))));
