//! Poolers between the host and an operator's server (PgBouncer and its like).
//!
//! One is noticed because it speaks for a process that is not the session's. In session mode it is as good
//! as the server, but for settings in the login, which it may refuse or forget: they are set by a statement
//! then. In any other mode a prepared statement or a setting would be another session's the next moment,
//! so there is no session.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    quote::literal,
    session::{ConnectError, Session, refusal},
};

/// How long a second session is waited for: in session mode there may be room for one only.
const SECOND_TIMEOUT: Duration = Duration::from_secs(1);
/// Somebody else may have taken the server in between.
const ROUNDS: usize = 3;
/// How PgBouncer says that it does not know `options`.
const UNKNOWN_PARAMETER: &str = "08P01";

/// What is known of whoever is in between, once for all sessions of an endpoint.
#[derive(Debug, Default)]
pub(super) struct Pooler {
    refuses_options: AtomicBool,
    /// Each session has a server for itself.
    in_session_mode: AtomicBool,
}

impl Pooler {
    /// Logs in with the settings, or without them where they are refused.
    pub(super) async fn log_in<F>(&self, log_in: impl Fn(bool) -> F) -> Result<Session, ConnectError>
    where
        F: Future<Output = Result<Session, ConnectError>>,
    {
        if !self.refuses_options.load(Relaxed) {
            match log_in(true).await {
                Err(ConnectError::Refused { sqlstate }) if sqlstate == UNKNOWN_PARAMETER => {}
                other => return other,
            }
        }
        let session = log_in(false).await?;
        self.refuses_options.store(true, Relaxed);
        Ok(session)
    }

    /// Makes a session of a pooler as good as one of the server; `another` logs in once more.
    pub(super) async fn settle<F>(
        &self,
        session: &mut Session,
        options: Option<&str>,
        another: impl Fn(bool) -> F,
    ) -> Result<(), ConnectError>
    where
        F: Future<Output = Result<Session, ConnectError>>,
    {
        if !self.in_session_mode.load(Relaxed) {
            let other = self.log_in(another).await?;
            if shares_servers(session, &other).await? {
                return Err(ConnectError::Pooler);
            }
            self.in_session_mode.store(true, Relaxed);
        }
        let Some(settings) = statement(options.unwrap_or_default()) else { return Err(ConnectError::Options) };
        session.client.batch_execute(&settings).await.map_err(refusal)?;
        session.settings = Some(settings);
        Ok(())
    }
}

/// Whether a session without a transaction loses its server to one with a transaction.
async fn shares_servers(session: &Session, other: &Session) -> Result<bool, ConnectError> {
    for _ in 0..ROUNDS {
        let mine = session.server().await.map_err(refusal)?.process;
        let begun = async {
            other.client.batch_execute("BEGIN").await?;
            other.server().await
        };
        let others = match timeout(SECOND_TIMEOUT, begun).await {
            Ok(Ok(server)) => server.process,
            // One statement at a time is all that it lets through.
            Ok(Err(_)) => return Ok(true),
            // It waits for this session to end.
            Err(_elapsed) => return Ok(false),
        };
        let again = timeout(SECOND_TIMEOUT, session.server()).await;
        let kept = matches!(again, Ok(Ok(server)) if server.process == mine);
        if mine == others || !kept {
            return Ok(true);
        }
        other.client.batch_execute("ROLLBACK").await.map_err(refusal)?;
    }
    Ok(false)
}

/// `-c name=value -c …` as a statement that does the same; None for other options.
fn statement(options: &str) -> Option<String> {
    let mut calls = Vec::new();
    let mut words = options.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("-c").or(word.strip_prefix("--"))? {
            "" => words.next()?,
            joined => joined,
        };
        let (name, value) = setting.split_once('=')?;
        if value.contains('\\') {
            return None;
        }
        calls.push(format!("pg_catalog.set_config({}, {}, false)", literal(name), literal(value)));
    }
    // A statement of its own, also where there is nothing to set.
    Some(format!("SELECT {}", calls.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_login_are_set_by_a_statement() {
        let told = statement("-c a=1 -cb='x' --c.d=a,b").unwrap();
        let expected = "SELECT pg_catalog.set_config('a', '1', false), pg_catalog.set_config('b', '''x''', false), \
                        pg_catalog.set_config('c.d', 'a,b', false)";
        assert_eq!(told, expected);
        assert_eq!(statement("-B 16"), None);
        assert_eq!(statement("-c a=b\\ c"), None);
    }
}
