//! Password hashing: Argon2id at a cost that hurts whoever guesses, and a few at a time, so that
//! it does not hurt us.
//!
//! Each hash takes 19 MiB and tens of milliseconds of one core. Two run at once in the whole host,
//! on threads that serve no requests; a short queue waits; whoever comes then is told to come back.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{Salt, SaltString},
};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use grant::{self, Granted};

/// At once, in the whole host.
const HASHES_MAX: usize = 2;
const WAITING_MAX: usize = 32;
const WAIT: Duration = Duration::from_secs(1);
/// OWASP's recommendation for Argon2id: memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// What a hash that was made elsewhere may cost at most.
const COST_MAX: (u32, u32, u32) = (64 * 1024, 10, 4);
const PASSWORD_BYTES_MAX: usize = 1024;
const HASH_BYTES_MAX: usize = 512;
const SALT_BYTES: usize = 16;

/// Why nothing was hashed or compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("{0}")]
    Invalid(&'static str),
    #[error("too many passwords are being hashed")]
    Overloaded,
    #[error("hashing broke off")]
    Broken,
}

/// The one place of the host where passwords are hashed.
pub struct Passwords {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The hash of a password that nobody has; made when it is first needed.
    dummy: Arc<OnceLock<String>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { running: Arc::new(Semaphore::new(HASHES_MAX)), waiting: AtomicUsize::new(0), dummy: Arc::default() }
    }
}

impl Passwords {
    /// A PHC string. Cancel safe; what has begun holds its place until it ends.
    pub async fn hash(
        &self,
        _: &Granted<grant::Hashing>,
        password: String,
        deadline: Instant,
    ) -> Result<String, PasswordError> {
        right_size(&password)?;
        let permit = self.place(deadline).await?;
        work(permit, move || hash(&password)).await?
    }

    /// Whether `password` is that of `hash`; without a hash the same work, and false.
    ///
    /// Cancel safe; what has begun holds its place until it ends.
    pub async fn verify(
        &self,
        _: &Granted<grant::Hashing>,
        password: String,
        hash: Option<String>,
        deadline: Instant,
    ) -> Result<bool, PasswordError> {
        right_size(&password)?;
        if let Some(hash) = &hash {
            parsed(hash)?;
        }
        let permit = self.place(deadline).await?;
        let dummy = self.dummy.clone();
        work(permit, move || match hash {
            Some(hash) => Ok(matches(&password, &parsed(&hash)?)),
            None => {
                matches(&password, &parsed(nobodys(&dummy)?)?);
                Ok(false)
            }
        })
        .await?
    }

    async fn place(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, PasswordError> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::begin(&self.waiting).ok_or(PasswordError::Overloaded)?;
        let until = deadline.min(Instant::now() + WAIT);
        match tokio::time::timeout_at(until.into(), self.running.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(PasswordError::Overloaded),
        }
    }
}

/// Counts one that waits, also when it goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Option<Self> {
        let below_max = |waiting: usize| (waiting < WAITING_MAX).then_some(waiting + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below_max).ok()?;
        Some(Self(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The permit goes with the work: a guest that is gone frees no place while its hash still runs.
async fn work<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PasswordError> {
    let working = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    working.await.map_err(|_broken| PasswordError::Broken)
}

fn right_size(password: &str) -> Result<(), PasswordError> {
    match (1..=PASSWORD_BYTES_MAX).contains(&password.len()) {
        true => Ok(()),
        false => Err(PasswordError::Invalid("a password has 1 to 1024 bytes")),
    }
}

fn argon2(cost: (u32, u32, u32)) -> Argon2<'static> {
    let params = Params::new(cost.0, cost.1, cost.2, None).expect("our own cost is one that Argon2 knows");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str) -> Result<String, PasswordError> {
    let mut salt = [0; SALT_BYTES];
    SystemRandom::new().fill(&mut salt).map_err(|_| PasswordError::Broken)?;
    let salt = SaltString::encode_b64(&salt).map_err(|_| PasswordError::Broken)?;
    let hash = argon2(COST).hash_password(password.as_bytes(), Salt::from(&salt));
    hash.map(|hash| hash.to_string()).map_err(|_| PasswordError::Broken)
}

/// A hash that this host would make no more work of than it may cost.
fn parsed(hash: &str) -> Result<PasswordHash<'_>, PasswordError> {
    let invalid = PasswordError::Invalid("this is no Argon2id hash that this host works with");
    if hash.len() > HASH_BYTES_MAX {
        return Err(invalid);
    }
    let parsed = PasswordHash::new(hash).map_err(|_| invalid.clone())?;
    let params = Params::try_from(&parsed).map_err(|_| invalid.clone())?;
    let (memory_max, passes_max, lanes_max) = COST_MAX;
    let affordable = params.m_cost() <= memory_max && params.t_cost() <= passes_max && params.p_cost() <= lanes_max;
    let whole = parsed.algorithm == Algorithm::Argon2id.ident() && parsed.salt.is_some() && parsed.hash.is_some();
    if affordable && whole { Ok(parsed) } else { Err(invalid) }
}

fn matches(password: &str, hash: &PasswordHash<'_>) -> bool {
    Argon2::default().verify_password(password.as_bytes(), hash).is_ok()
}

fn nobodys(dummy: &OnceLock<String>) -> Result<&str, PasswordError> {
    if let Some(dummy) = dummy.get() {
        return Ok(dummy);
    }
    let made = hash(&format!("{:x}", fastrand::u128(..)))?;
    Ok(dummy.get_or_init(|| made))
}
