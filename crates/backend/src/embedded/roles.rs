//! Who may do what in a private server: a database for each name, an owner for its migrations,
//! and a role for each service and mode that owns nothing.
//!
//! Passwords are new with every start and exist in memory only. A role whose service or mode is
//! not in the manifest any more can no longer log in.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use tokio_postgres::Client;

use super::postgres::Server;
use crate::postgres::{
    encode::hidden,
    endpoint::ConnectError,
    quote::{identifier as quoted, literal},
};
use grant::{DatabaseGrant, Granted, Mode};
use manifest::Secret;

/// PostgreSQL cuts longer names off.
const NAME_BYTES_MAX: usize = 63;

/// A role that can log in now.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) role: String,
    pub(crate) password: Secret,
}

/// What one name of the manifest became.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseRoles {
    pub(crate) database: String,
    pub(crate) owner: Access,
    pub(crate) services: BTreeMap<DatabaseGrant, Access>,
}

/// What the server itself holds each role to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionLimits {
    /// Sessions of pools, of all roles of a database.
    pub(crate) sessions_max: usize,
    pub(crate) statement_timeout: Duration,
}

/// Why the roles are not as they should be. A bug or a full disk, never a matter of the manifest.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    #[error("cannot connect to the private PostgreSQL")]
    Connect(#[from] ConnectError),
    #[error("cannot set up roles in the private PostgreSQL{}", .0.as_db_error().map(|db| format!(": {}", db.message())).unwrap_or_default())]
    Sql(#[from] tokio_postgres::Error),
    #[error("the system gives no random numbers")]
    Random,
}

/// Makes a name's database and roles, or brings them up to date.
pub(crate) async fn prepare(
    server: &Server,
    name: &str,
    grants: &[&Granted<DatabaseGrant>],
    limits: SessionLimits,
) -> Result<DatabaseRoles, RolesError> {
    let database = bounded(&format!("db_{name}"));
    let owner = access(bounded(&format!("db_{name}:owner")))?;
    let roles = DatabaseRoles { database, owner, services: services(name, grants)? };

    let session = server.as_superuser("postgres").connect(1 << 20).await?;
    lock_out_all(&session.client, &roles).await?;
    make_roles(&session.client, &roles, limits).await?;
    make_database(&session.client, &roles).await?;
    let session = server.as_superuser(&roles.database).connect(1 << 20).await?;
    session.client.batch_execute(&hardening(&roles)).await?;
    Ok(roles)
}

/// Makes roles for further `grants` of a database that is in use: nobody else's password changes. Gives back all
/// of them.
pub(crate) async fn extend(
    server: &Server,
    name: &str,
    of: &DatabaseRoles,
    grants: &[&Granted<DatabaseGrant>],
    limits: SessionLimits,
) -> Result<DatabaseRoles, RolesError> {
    let mut roles = of.clone();
    let new: Vec<_> = grants.iter().copied().filter(|grant| !of.services.contains_key(grant.get())).collect();
    roles.services.extend(services(name, &new)?);
    let session = server.as_superuser("postgres").connect(1 << 20).await?;
    make_roles(&session.client, &roles, limits).await?;
    make_database(&session.client, &roles).await?;
    let session = server.as_superuser(&roles.database).connect(1 << 20).await?;
    session.client.batch_execute(&hardening(&roles)).await?;
    Ok(roles)
}

fn services(name: &str, grants: &[&Granted<DatabaseGrant>]) -> Result<BTreeMap<DatabaseGrant, Access>, RolesError> {
    let service = |grant: &&Granted<DatabaseGrant>| {
        let grant = grant.get();
        let role = bounded(&format!("db_{name}:{}:{}", grant.service, suffix(grant.mode)));
        Ok((grant.clone(), access(role)?))
    };
    grants.iter().map(service).collect()
}

/// Gives the services what their modes say on all tables there are, once migrations have run.
/// Later tables are covered by default privileges.
pub(crate) async fn grant_tables(server: &Server, roles: &DatabaseRoles) -> Result<(), RolesError> {
    let session = server.as_superuser(&roles.database).connect(1 << 20).await?;
    let owner = literal(&quoted(&roles.owner.role));
    let schemas = session
        .client
        .query(
            &format!("SELECT nspname FROM pg_namespace WHERE nspname = 'public' OR nspowner = {owner}::regrole"),
            &[],
        )
        .await?;
    let mut sql = String::new();
    for schema in schemas {
        let schema = quoted(schema.try_get::<_, &str>(0)?);
        for (grant, access) in &roles.services {
            let role = quoted(&access.role);
            let (tables, sequences) = rights(grant.mode);
            write!(
                sql,
                "GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT {tables} ON ALL TABLES IN SCHEMA {schema} TO {role};"
            )
            .expect("a string");
            if let Some(sequences) = sequences {
                write!(sql, "GRANT {sequences} ON ALL SEQUENCES IN SCHEMA {schema} TO {role};").expect("a string");
            }
        }
    }
    for access in roles.services.values() {
        // The history of migrations, events that wait and turns are the host's, not the services'.
        for (kind, name) in [
            ("TABLE", "archipel_migrations"),
            ("TABLE", "archipel_turns"),
            ("TABLE", "archipel_outbox"),
            ("SEQUENCE", "archipel_outbox_seq_seq"),
        ] {
            write!(
                sql,
                "DO $do$ BEGIN IF to_regclass('public.{name}') IS NOT NULL THEN \
                 EXECUTE 'REVOKE ALL ON {kind} public.{name} FROM ' || quote_ident({}); END IF; END $do$;",
                literal(&access.role)
            )
            .expect("a string");
        }
    }
    Ok(session.client.batch_execute(&sql).await?)
}

async fn lock_out_all(client: &Client, roles: &DatabaseRoles) -> Result<(), RolesError> {
    let prefix = format!("{}:", roles.database);
    let known =
        client.query("SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1) AND rolcanlogin", &[&prefix]).await?;
    let mut sql = String::new();
    for role in known {
        write!(sql, "ALTER ROLE {} NOLOGIN;", quoted(role.try_get::<_, &str>(0)?)).expect("a string");
    }
    Ok(client.batch_execute(&sql).await?)
}

async fn make_roles(client: &Client, roles: &DatabaseRoles, limits: SessionLimits) -> Result<(), RolesError> {
    let SessionLimits { sessions_max, statement_timeout } = limits;
    let mut sql = String::new();
    for access in roles.services.values().chain([&roles.owner]) {
        let (name, role) = (literal(&access.role), quoted(&access.role));
        write!(
            sql,
            "DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN CREATE ROLE {role}; END IF; END $do$;\
             ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS \
             CONNECTION LIMIT {limit};",
            limit = sessions_max + sessions_max / 4 + 4,
        )
        .expect("a string");
    }
    for (grant, access) in &roles.services {
        let role = quoted(&access.role);
        let read_only = grant.mode == Mode::Read;
        write!(
            sql,
            "ALTER ROLE {role} SET statement_timeout = {}; ALTER ROLE {role} SET default_transaction_read_only = {read_only};",
            statement_timeout.as_millis()
        )
        .expect("a string");
    }
    client.batch_execute(&sql).await?;
    for access in roles.services.values().chain([&roles.owner]) {
        set_password(client, access).await?;
    }
    Ok(())
}

/// The password goes as a hidden parameter: the driver can log the texts of statements.
async fn set_password(client: &Client, access: &Access) -> Result<(), RolesError> {
    let keep = "SELECT pg_catalog.set_config('archipel.password', $1, false)";
    client.execute_raw(keep, [hidden(access.password.reveal())]).await?;
    let role = literal(&access.role);
    let set = format!(
        "DO $do$ BEGIN EXECUTE format('ALTER ROLE %I PASSWORD %L', {role}, current_setting('archipel.password')); END $do$"
    );
    Ok(client.batch_execute(&set).await?)
}

async fn make_database(client: &Client, roles: &DatabaseRoles) -> Result<(), RolesError> {
    let exists = client.query("SELECT FROM pg_database WHERE datname = $1", &[&roles.database]).await?;
    let (database, owner) = (quoted(&roles.database), quoted(&roles.owner.role));
    if exists.is_empty() {
        client
            .batch_execute(&format!("CREATE DATABASE {database} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8'"))
            .await?;
    }
    let mut sql = format!(
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC; REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC; GRANT ALL ON DATABASE {database} TO {owner};"
    );
    for access in roles.services.values() {
        write!(sql, "GRANT CONNECT ON DATABASE {database} TO {};", quoted(&access.role)).expect("a string");
    }
    Ok(client.batch_execute(&sql).await?)
}

/// What holds within one database before its migrations run.
fn hardening(roles: &DatabaseRoles) -> String {
    let owner = quoted(&roles.owner.role);
    // Blocks of code and large objects are no part of the contract and reach past tables' rights.
    let mut sql = format!(
        "ALTER SCHEMA public OWNER TO {owner}; REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT ALL ON SCHEMA public TO {owner};\
         REVOKE ALL ON LANGUAGE plpgsql FROM PUBLIC; GRANT USAGE ON LANGUAGE plpgsql TO {owner};\
         DO $do$ DECLARE f regprocedure; BEGIN \
         FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^(lo_|loread$|lowrite$)' \
         LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f); END LOOP; END $do$;"
    );
    for (grant, access) in &roles.services {
        let role = quoted(&access.role);
        let (tables, sequences) = rights(grant.mode);
        write!(
            sql,
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SCHEMAS TO {role};\
             ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT {tables} ON TABLES TO {role};"
        )
        .expect("a string");
        if let Some(sequences) = sequences {
            write!(sql, "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT {sequences} ON SEQUENCES TO {role};")
                .expect("a string");
        }
    }
    sql
}

/// On tables, and on sequences.
fn rights(mode: Mode) -> (&'static str, Option<&'static str>) {
    match mode {
        Mode::Read => ("SELECT", None),
        Mode::ReadWrite => ("SELECT, INSERT, UPDATE, DELETE", Some("USAGE, SELECT")),
    }
}

fn suffix(mode: Mode) -> &'static str {
    match mode {
        Mode::Read => "ro",
        Mode::ReadWrite => "rw",
    }
}

fn access(role: String) -> Result<Access, RolesError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| RolesError::Random)?;
    Ok(Access { role, password: Secret::new(hex::encode(bytes)) })
}

/// A name PostgreSQL keeps whole: a longer one ends in a digest of itself.
fn bounded(name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let digest = hex::encode(digest::digest(&digest::SHA256, name.as_bytes()));
    let kept = name.floor_char_boundary(NAME_BYTES_MAX - 17);
    format!("{}~{}", &name[..kept], &digest[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_stay_distinct() {
        let (one, other) = (bounded(&format!("{}a", "x".repeat(80))), bounded(&format!("{}b", "x".repeat(80))));
        assert_ne!(one, other);
        assert_eq!(one.len(), NAME_BYTES_MAX);
        assert_eq!(bounded("db_users"), "db_users");
    }

    #[test]
    fn passwords_are_new_each_time_and_never_printed() {
        let (one, other) = (access("r".into()).unwrap(), access("r".into()).unwrap());
        assert_ne!(one.password, other.password);
        assert!(!format!("{one:?}").contains(one.password.reveal()));
    }
}
