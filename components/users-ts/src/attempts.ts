// Failed logins: 10 in 15 minutes for each client address and each account, exactly, however many fail at once and
// whichever instance they meet. They are counted in the database, one row a key. ../users/src/attempts.rs says why
// each statement is as it is.
import { tooManyRequests } from './shop/error.ts';
import { emailKey, shown, sql, type UserRow } from './store.ts';
import type { User } from './user.ts';

export interface Account {
  user: User;
  passwordHash: string | null;
}

/** What a login is counted under, and when. */
export interface Attempt {
  key: string;
  /** What its two rows are named by: the digest of these. */
  names: [Uint8Array, Uint8Array];
  now: Date;
}

export function attemptOf(email: string, client: string | null): Attempt {
  const [key, network] = [emailKey(email), networkOf(client ?? '')];
  const name = (kind: string, text: string) => new TextEncoder().encode(`${kind} ${text}`);
  return { key, names: [name('account', key), name('address', network)], now: new Date() };
}

/** The account of the attempt, if its email has one; 429 while one of its keys is full. Nothing is counted. */
export async function admit(attempt: Attempt): Promise<Account | undefined> {
  const [account, address] = attempt.names;
  const seen = await sql.first<UserRow & { full_keys: bigint; password_hash: string | null }>`select (
      select count(*) from (
        select from login_failures, unnest(moments) as moment
        where key in (sha256(${account}::bytea), sha256(${address}::bytea))
          and moment > ${attempt.now}::timestamptz - interval '15 minutes'
        group by key having count(*) >= 10
      ) as keys
    ) as full_keys, id, email, name, created_at, updated_at, password_hash
    from (values (1)) as always left join users on email_key = ${attempt.key}`;
  if (seen && seen.full_keys > 0n) await tooMany(attempt);
  return seen?.id ? { user: shown(seen), passwordHash: seen.password_hash } : undefined;
}

/** Counts a failure under both of its keys, or under none: 429. Rows are taken in the order of their keys, so that
 * two attempts never wait for one another. */
export async function countFailure(attempt: Attempt): Promise<void> {
  const [account, address] = attempt.names;
  const { now } = attempt;
  const reserved = await sql.first<{ count: bigint }>`with wanted as (
      select sha256(name) as key from (values (${account}::bytea), (${address}::bytea)) as names (name)
    ), reserved as (
      insert into login_failures as known (key, moments, latest)
      select key, array[${now}::timestamptz], ${now}::timestamptz from wanted
      where not exists (
        select from login_failures join wanted using (key)
        where (select count(*) from unnest(moments) as moment
               where moment > ${now}::timestamptz - interval '15 minutes') >= 10
      )
      order by key
      on conflict (key) do update set latest = excluded.latest, moments = array(
        select moment from unnest(known.moments) as moment
        where moment > ${now}::timestamptz - interval '15 minutes' order by moment
      ) || ${now}::timestamptz
      where (select count(*) from unnest(known.moments) as moment
             where moment > ${now}::timestamptz - interval '15 minutes') < 10
      returning key
    )
    select count(*) from reserved`;
  if (reserved?.count === 2n) return;
  if (reserved?.count !== 0n) await giveBack(attempt);
  await tooMany(attempt);
}

/** 429 if one of the attempt's keys has become full since it was admitted. */
export async function confirm(attempt: Attempt): Promise<void> {
  const [account, address] = attempt.names;
  const known = await sql.first<{ count: bigint }>`with known as (
      select moments from login_failures where key in (sha256(${account}::bytea), sha256(${address}::bytea))
      order by key for update
    )
    select count(*) from known
    where (select count(*) from unnest(moments) as moment
           where moment > ${attempt.now}::timestamptz - interval '15 minutes') >= 10`;
  if (known && known.count > 0n) await tooMany(attempt);
}

/** The attempt no longer counts: one of its keys had no room. */
async function giveBack({ names: [account, address], now }: Attempt): Promise<void> {
  await sql.run`with mine as (
      select key from login_failures where key in (sha256(${account}::bytea), sha256(${address}::bytea))
      order by key for update
    )
    update login_failures set moments = moments[:array_position(moments, ${now}::timestamptz) - 1]
      || moments[array_position(moments, ${now}::timestamptz) + 1:]
    from mine where login_failures.key = mine.key
      and array_position(moments, ${now}::timestamptz) is not null`;
}

/** Removes some of what no longer counts: more than an attempt can add. */
export async function forgetExpired({ now }: Attempt): Promise<void> {
  await sql.run`delete from login_failures where key in (
      select key from login_failures where latest <= ${now}::timestamptz - interval '15 minutes'
      order by latest limit 10 for update skip locked
    )`;
}

/** 429, until the oldest failure of a full key no longer counts. */
async function tooMany({ names: [account, address], now }: Attempt): Promise<never> {
  const waits = await sql.first<{ max: bigint | null }>`select max(seconds)::bigint from (
      select ceil(extract(epoch from least(min(moment), ${now}::timestamptz) + interval '15 minutes' - ${now}::timestamptz)) as seconds
      from login_failures, unnest(moments) as moment
      where key in (sha256(${account}::bytea), sha256(${address}::bytea))
        and moment > ${now}::timestamptz - interval '15 minutes'
      group by key having count(*) >= 10
    ) as waits`;
  const seconds = waits?.max && waits.max > 0n ? waits.max : 1n;
  return tooManyRequests('Too many failed logins; try again later', seconds);
}

/** The address itself, or the /64 of an IPv6 one: as much as one client has. */
function networkOf(client: string): string {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(client)) return client;
  const written = shortest(client);
  if (written === undefined) return 'unknown';
  const [head = '', tail] = written.split('::');
  const groups = (text: string | undefined) => (text ? text.split(':') : []);
  const missing = 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array<string>(tail === undefined ? 0 : missing).fill('0'), ...groups(tail)];
  if (all.slice(0, 5).every((group) => group === '0') && all[5] === 'ffff') {
    const [high, low] = [parseInt(all[6] ?? '0', 16), parseInt(all[7] ?? '0', 16)];
    return [high >> 8, high & 255, low >> 8, low & 255].join('.');
  }
  return `${all.slice(0, 4).join(':')}::`;
}

/** An IPv6 address in its one shortest form, as URLs have it. */
function shortest(address: string): string | undefined {
  try {
    return new URL(`http://[${address}]`).hostname.slice(1, -1);
  } catch {
    return undefined;
  }
}
