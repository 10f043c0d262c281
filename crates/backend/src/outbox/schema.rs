//! The table of waiting events and the one function that writes to it, made by the host as the
//! database's owner, before the service's own migrations.
//!
//! Services' roles may call the function and touch nothing else. It runs with the owner's rights and
//! takes whose an event is from the role of the session, not from what it is told.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use tokio_postgres::Client;

use crate::postgres::{
    own, quote,
    schema::Schema,
    turns::{self, Turn},
};

/// One event and what the server says around it.
pub(super) const MESSAGE_MAX_BYTES: u64 = 4 << 20;

/// In the order of `seq` events are carried on. What the one `CHECK` holds is that an event fits into a message;
/// the bounds of each part are the function's, because PostgreSQL reads each `CHECK` anew for every row that it is
/// given.
const NAME: &str = "public.archipel_outbox";
const TABLE: &str = "
CREATE TABLE IF NOT EXISTS public.archipel_outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL,
    publisher text NOT NULL,
    topic text NOT NULL,
    key text,
    content_type text,
    headers text NOT NULL,
    body bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    delay_ms bigint,
    dedup_id text,
    ttl_ms bigint,
    refused text,
    CHECK (octet_length(body) + octet_length(headers) <= 1114112)
);
CREATE INDEX IF NOT EXISTS archipel_outbox_waiting ON public.archipel_outbox (seq) WHERE refused IS NULL;
";

/// Bounds of an event: those of `events`. The host has checked them before, but whoever may call the function may
/// do so by plain SQL.
const OVER_BOUNDS: &str = "octet_length($3) NOT BETWEEN 1 AND 255 OR octet_length($4) > 255 OR octet_length($5) > 255
    OR octet_length($6) > 65536 OR octet_length($7) > 1048576 OR $8 NOT BETWEEN 0 AND 31622400000
    OR octet_length($9) > 255 OR $10 < 0";

const BY_ROLE: &str = "CASE session_user";
const PARAMETERS: &str = "uuid, text, text, text, text, text, bytea, bigint, text, bigint";

/// Who may write events, and how the database knows whose they are.
pub(crate) enum Writers {
    /// Each service has a role of its own: the service by role.
    Roles(BTreeMap<String, Arc<str>>),
    /// All services share the role of the operator's URL, which owns everything: the host says whose
    /// an event is.
    Shared,
}

/// Does nothing where all is as it should be: an operator may have made it, for a role that may not.
///
/// One host at a time, as with migrations.
pub(super) async fn make(client: &Client, schema: &Schema, writers: &Writers) -> Result<(), tokio_postgres::Error> {
    let is_there = is_there(client, schema).await?;
    if matches!(writers, Writers::Shared) && is_there && !is_outdated(client, schema).await? {
        return Ok(());
    }
    turns::prepare(client, schema).await?;
    client.batch_execute("BEGIN; SET LOCAL lock_timeout = '60s'").await?;
    Turn::Migrations.wait(client, schema).await?;
    // Looking whether the index is there would wait for everybody who writes events just now.
    if !is_there {
        own::make(client, &schema.sql(NAME), &schema.sql(TABLE)).await?;
    }
    client.batch_execute(&schema.sql(&function(writers))).await?;
    client.batch_execute("COMMIT").await
}

/// Makes the function anew: who writes, and as whom, may have changed.
fn function(writers: &Writers) -> String {
    let publisher = match writers {
        Writers::Shared => "$2".to_owned(),
        Writers::Roles(roles) => {
            let mut case = BY_ROLE.to_owned();
            for (role, service) in roles {
                write!(case, " WHEN {} THEN {}", quote::literal(role), quote::literal(service)).expect("a string");
            }
            case + " END"
        }
    };
    // Sessions of the private server do not wait for the disk when they commit, and the relay is not to carry on what
    // a crash may undo: a transaction with an event waits.
    let waits = match writers {
        Writers::Roles(_) => "PERFORM set_config('synchronous_commit', 'on', true);",
        Writers::Shared => "",
    };
    // PL/pgSQL keeps the plan in a session; a function in SQL is parsed and planned at each call.
    let mut sql = format!(
        "CREATE OR REPLACE FUNCTION public.archipel_publish ({PARAMETERS}) RETURNS void
         LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {body};
         REVOKE ALL ON FUNCTION public.archipel_publish FROM PUBLIC;",
        body = quote::literal(&format!(
            "BEGIN
             IF {OVER_BOUNDS} THEN
                 RAISE check_violation USING MESSAGE = 'an event is over its bounds';
             END IF;
             {waits}
             INSERT INTO public.archipel_outbox
                 (id, publisher, topic, key, content_type, headers, body, delay_ms, dedup_id, ttl_ms)
             VALUES ($1, {publisher}, $3, $4, $5, $6, $7, $8, $9, $10);
             END"
        )),
    );
    if let Writers::Roles(roles) = writers {
        for role in roles.keys() {
            let role = quote::identifier(role);
            write!(
                sql,
                "REVOKE ALL ON TABLE public.archipel_outbox FROM {role};
                 REVOKE ALL ON SEQUENCE public.archipel_outbox_seq_seq FROM {role};
                 GRANT EXECUTE ON FUNCTION public.archipel_publish TO {role};"
            )
            .expect("a string");
        }
    }
    sql
}

/// Whether the function knows services by their roles: it came from a private server with a dump, and here it
/// would know nobody. Or it writes to a table in another schema: an operator has moved it here. Or it is one in
/// SQL, of earlier, that this role may replace.
async fn is_outdated(client: &Client, schema: &Schema) -> Result<bool, tokio_postgres::Error> {
    let sql = format!(
        "SELECT prosrc LIKE '%{BY_ROLE}%' OR strpos(prosrc, 'public.archipel_outbox') = 0
                OR lanname = 'sql' AND pg_has_role(proowner, 'USAGE')
         FROM pg_catalog.pg_proc JOIN pg_catalog.pg_language ON pg_language.oid = prolang
         WHERE pg_proc.oid = to_regprocedure('public.archipel_publish({PARAMETERS})')"
    );
    client.query_one(&*schema.sql(&sql), &[]).await?.try_get(0)
}

pub(super) async fn is_there(client: &Client, schema: &Schema) -> Result<bool, tokio_postgres::Error> {
    let sql = format!(
        "SELECT to_regclass('public.archipel_outbox') IS NOT NULL
                AND to_regprocedure('public.archipel_publish({PARAMETERS})') IS NOT NULL"
    );
    client.query_one(&*schema.sql(&sql), &[]).await?.try_get(0)
}

/// All that wait, whoever left them and whatever stands in their way.
pub(super) async fn waiting(client: &Client, schema: &Schema) -> Result<u64, tokio_postgres::Error> {
    if !is_there(client, schema).await? {
        return Ok(0);
    }
    client.batch_execute("SET statement_timeout = '5s'").await?;
    let sql = schema.sql("SELECT count(*) FROM public.archipel_outbox");
    let count: i64 = client.query_one(&*sql, &[]).await?.try_get(0)?;
    Ok(count.unsigned_abs())
}
