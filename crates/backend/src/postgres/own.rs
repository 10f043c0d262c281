//! Tables that the host keeps in a service's database: nobody but their owner may touch them.
//!
//! Default privileges give services every new table. What is the host's is taken from them within the
//! transaction that makes it, so nobody ever sees it open.

use tokio_postgres::{Client, Error};

/// Everybody but its owner who may do something with a table or a sequence of it.
const OTHERS: &str = "
SELECT DISTINCT c.oid::pg_catalog.regclass::text,
       coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC')
FROM pg_catalog.pg_class c
CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a
LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
WHERE a.grantee <> c.relowner
  AND (c.oid = pg_catalog.to_regclass($1)
       OR c.relkind = 'S' AND EXISTS (
           SELECT FROM pg_catalog.pg_depend d
           WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
             AND d.refobjid = pg_catalog.to_regclass($1)))";

/// `to_regclass` would say no from memory where another host has made it a moment ago; this reads what is committed,
/// and has the session look at names anew.
const IS_THERE: &str = "
SELECT EXISTS (SELECT FROM pg_catalog.pg_class c
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_catalog.parse_ident($1) AS wanted ON n.nspname = wanted[1] AND c.relname = wanted[2])";

/// Whether there is a table of this name, which has its schema.
pub(crate) async fn is_there(client: &Client, table: &str) -> Result<bool, Error> {
    client.query_one(IS_THERE, &[&table]).await?.try_get(0)
}

/// Makes a table by `sql`, within the transaction that is open, and takes it from all but its owner.
/// `table` is its name as SQL writes it, with its schema.
pub(crate) async fn make(client: &Client, table: &str, sql: &str) -> Result<(), Error> {
    client.batch_execute(sql).await?;
    for row in client.query(OTHERS, &[&table]).await? {
        let (relation, role): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        // `TABLE` covers sequences too.
        client.batch_execute(&format!("REVOKE ALL ON TABLE {relation} FROM {role}")).await?;
    }
    Ok(())
}
