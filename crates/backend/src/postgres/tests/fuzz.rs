//! Statements out of pieces that have been trouble, or could be: whatever a borrower of a connection sent,
//! the next one finds the session as new. The server is asked. `just fuzz` runs it for longer.

use super::*;
use fastrand::Rng;

/// Everything of a session that a statement could change; asking it leaves nothing either.
const SESSION: &str = "
    SELECT concat_ws(' | ',
        (SELECT md5(string_agg(name || '=' || coalesce(setting, ''), ',' ORDER BY name)) FROM pg_settings),
        coalesce(current_setting('my.own', true), ''), current_user, session_user,
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
        (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
        (SELECT count(*) FROM pg_listening_channels()),
        (SELECT count(*) FROM pg_cursors WHERE is_holdable))";

/// Functions of one argument that do something, and their arguments.
const CALLS: &[(&str, &str)] = &[
    ("pg_advisory_lock", "1::bigint"),
    ("pg_advisory_lock_shared", "2::bigint"),
    ("pg_try_advisory_lock", "3::bigint"),
    ("ts_stat", "'select set_config(''my.own'', ''x'', false)::tsvector'::text"),
    ("dirty", "7"),
    ("over", "8"),
    ("xor", "9"),
    ("key", "10"),
    ("lower", "'A'::text"),
];

/// What an operator's migrations may have made.
const OWN: &str = "
    GRANT TEMP ON DATABASE db_shop TO PUBLIC;
    CREATE FUNCTION public.dirty(n int) RETURNS text LANGUAGE sql AS $$ SELECT set_config('my.own', n::text, false) $$;
    CREATE FUNCTION public.\"over\"(n int) RETURNS text LANGUAGE sql AS $$ SELECT public.dirty(n) $$;
    CREATE FUNCTION public.xor(n int) RETURNS text LANGUAGE sql AS $$ SELECT public.dirty(n) $$;
    CREATE FUNCTION public.key(n int) RETURNS text LANGUAGE sql AS $$ SELECT public.dirty(n) $$;";

fn pick<'a>(random: &mut Rng, of: &[&'a str]) -> &'a str {
    of[random.usize(0..of.len())]
}

/// A name as it is, in capitals, in quotes, with its schema.
fn spelled(random: &mut Rng, name: &str) -> String {
    match random.u8(0..6) {
        0 => name.to_ascii_uppercase(),
        1 => format!("\"{name}\""),
        2 => format!("U&\"\\{:04x}{}\"", name.as_bytes()[0], &name[1..]),
        _ => name.to_owned(),
    }
}

fn blank(random: &mut Rng) -> &'static str {
    pick(random, &["", "", "", " ", "\n", "/* x */", "/* ' /* */ \" */", "--'\n"])
}

/// A value that calls a function in one of the ways there are, or in none.
fn value(random: &mut Rng, depth: u8) -> String {
    let (name, argument) = CALLS[random.usize(0..CALLS.len())];
    let name = spelled(random, name);
    let (gap, more) = (blank(random), blank(random));
    match random.u8(0..18) {
        0 => format!("{name}{gap}({argument})"),
        1 => format!("({argument}){gap}.{more}{name}"),
        2 => format!("(array[{argument}])[1].{name}"),
        3 => format!("(select ({argument}).{name})"),
        4 => format!("(select x.{gap}{name} from unnest(array[{argument}]) {} x)", pick(random, &["", "as"])),
        5 => format!("(select x.{name} from unnest(array[{argument}]) as x (y))"),
        6 => format!("(select unnest.{name} from unnest(array[{argument}]))"),
        7 => format!("(select x.{name} from cast({argument}{gap} as text) x)"),
        8 => format!("(select x.{name} from (values ({argument}), (null)) x (y))"),
        9 => format!("(select \"x\".{name} from lateral unnest(array[{argument}], array[1]) with ordinality x)"),
        10 => format!("'a' || E'\\'' {gap} || 'b' || {name}({argument})::text"),
        11 => format!("E'a'\n'\\'' || {name}({argument})::text || ''"),
        12 if depth > 0 => {
            format!("coalesce({}, {})", value(random, depth - 1), value(random, depth - 1))
        }
        _ => {
            pick(random, &["1", "name", "items.name", "'x'", "$$ ; $$", "count(*) over ()", "now()", "null"]).to_owned()
        }
    }
}

fn statement(random: &mut Rng) -> String {
    let (value, gap) = (value(random, 2), blank(random));
    match random.u8(0..11) {
        0 => format!("select {value} from items"),
        1 => format!("with x as {gap} materialized (select {value}) select * from x"),
        2 => format!("values ({value})"),
        3 => format!(
            "insert into items (name) select ({value})::text on conflict (name) do nothing returning ({value})::text"
        ),
        4 => format!("update items set name = name where ({value}) is not null"),
        5 => format!(
            "select 1 as a, {value} as b {} order by 1",
            pick(random, &["", "into temp t", "for update", "limit 1"])
        ),
        6 => format!("select not materialized({value})"),
        7 => format!("select 1{}{value}", pick(random, &[" where 1 = 1 or null = ", ", ", "e0, ", "union select "])),
        8 => format!("delete from items where id < 0 and ({value}) is null"),
        9 => format!(
            "{}set_config{gap}('work_mem', '1MB', false)",
            pick(random, &["select ", "select 1, pg_catalog.", "with x as (select 2) select "])
        ),
        _ => format!("select {value}{gap}"),
    }
}

#[tokio::test]
async fn whatever_was_sent_the_next_one_finds_the_session_as_new() {
    let seconds = std::env::var("ARCHIPEL_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let (seed, ends) = match seconds {
        Some(seconds) => (fastrand::u64(..), Instant::now() + Duration::from_secs(seconds)),
        None => (7, soon()),
    };
    let mut random = Rng::with_seed(seed);
    let shop = Shop::with(DatabaseSettings { connections_max: NonZeroUsize::MIN, ..settings() }).await;
    shop.superuser().await.client.batch_execute(OWN).await.unwrap();
    let pool = shop.writer();
    pool.execute("INSERT INTO items (name) VALUES ('one')", &[], soon()).await.unwrap();
    let clean = pool.one(SESSION).await;
    let (mut plain, mut others, mut sent) = (0, 0, 0);
    while Instant::now() < ends && (seconds.is_some() || sent < 600) {
        sent += 1;
        let sql = statement(&mut random);
        let Ok(kind) = statement::classify(&sql) else { continue };
        if pool.query(&sql, &[], soon()).await.is_ok() {
            match kind.plain {
                true => plain += 1,
                false => others += 1,
            }
            let found = pool.one(SESSION).await;
            assert_eq!(found, clean, "seed {seed}, {sent}: {sql}");
        }
    }
    assert!(plain >= sent / 20 && others >= sent / 20, "{plain} plain, {others} others, of {sent}");
}
