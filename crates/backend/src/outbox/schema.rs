//! The table of waiting events and the one function that writes to it, made by the host as the
//! database's owner, before the service's own migrations.
//!
//! Services' roles may call the function and touch nothing else. It runs with the owner's rights and
//! takes whose an event is from the role of the session, not from what it is told.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use tokio_postgres::Client;

use crate::postgres::{
    own, quote,
    turns::{self, Turn},
};

/// One event and what the server says around it.
pub(super) const MESSAGE_MAX_BYTES: u64 = 4 << 20;

/// In the order of `seq` events are carried on. Its bounds are those of `events`; the host has checked
/// them before, but whoever may call the function may do so by plain SQL.
const NAME: &str = "public.archipel_outbox";
const TABLE: &str = "
CREATE TABLE IF NOT EXISTS public.archipel_outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL,
    publisher text NOT NULL,
    topic text NOT NULL CHECK (octet_length(topic) BETWEEN 1 AND 255),
    key text CHECK (octet_length(key) <= 255),
    content_type text CHECK (octet_length(content_type) <= 255),
    headers text NOT NULL CHECK (octet_length(headers) <= 65536),
    body bytea NOT NULL CHECK (octet_length(body) <= 1048576),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    delay_ms bigint CHECK (delay_ms BETWEEN 0 AND 31622400000),
    dedup_id text CHECK (octet_length(dedup_id) <= 255),
    ttl_ms bigint CHECK (ttl_ms >= 0),
    refused text
);
CREATE INDEX IF NOT EXISTS archipel_outbox_waiting ON public.archipel_outbox (seq) WHERE refused IS NULL;
";

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
pub(super) async fn make(client: &Client, writers: &Writers) -> Result<(), tokio_postgres::Error> {
    let is_there = is_there(client).await?;
    if matches!(writers, Writers::Shared) && is_there && !is_of_roles(client).await? {
        return Ok(());
    }
    turns::prepare(client).await?;
    client.batch_execute("BEGIN; SET LOCAL lock_timeout = '60s'").await?;
    Turn::Migrations.wait(client).await?;
    // Looking whether the index is there would wait for everybody who writes events just now.
    if !is_there {
        own::make(client, NAME, TABLE).await?;
    }
    client.batch_execute(&function(writers)).await?;
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
    let mut sql = format!(
        "CREATE OR REPLACE FUNCTION public.archipel_publish ({PARAMETERS}) RETURNS void
         LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {body};
         REVOKE ALL ON FUNCTION public.archipel_publish FROM PUBLIC;",
        body = quote::literal(&format!(
            "INSERT INTO public.archipel_outbox
                 (id, publisher, topic, key, content_type, headers, body, delay_ms, dedup_id, ttl_ms)
             VALUES ($1, {publisher}, $3, $4, $5, $6, $7, $8, $9, $10)"
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
/// would know nobody.
async fn is_of_roles(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let sql = format!(
        "SELECT prosrc LIKE '%{BY_ROLE}%' FROM pg_catalog.pg_proc
         WHERE oid = to_regprocedure('public.archipel_publish({PARAMETERS})')"
    );
    client.query_one(&sql, &[]).await?.try_get(0)
}

pub(super) async fn is_there(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let sql = format!(
        "SELECT to_regclass('public.archipel_outbox') IS NOT NULL
                AND to_regprocedure('public.archipel_publish({PARAMETERS})') IS NOT NULL"
    );
    client.query_one(&sql, &[]).await?.try_get(0)
}

/// All that wait, whoever left them and whatever stands in their way.
pub(super) async fn waiting(client: &Client) -> Result<u64, tokio_postgres::Error> {
    if !is_there(client).await? {
        return Ok(0);
    }
    client.batch_execute("SET statement_timeout = '5s'").await?;
    let count: i64 = client.query_one("SELECT count(*) FROM public.archipel_outbox", &[]).await?.try_get(0)?;
    Ok(count.unsigned_abs())
}
