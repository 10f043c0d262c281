//! What a token says, once its signature is known to be right: for whom, from whom, how long.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::{Identity, TokenError, json, roles::RolesClaim};

/// What the claims of a token must be.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// `iss`, exactly; `None`: any, for a tool that only looks.
    pub issuer: Option<String>,
    /// A member of `aud`; `None`: any, for a tool that only looks.
    pub audience: Option<String>,
    /// Which claim has the roles.
    pub roles: RolesClaim,
    /// How far the clocks of issuer and verifier may be apart.
    pub leeway: Duration,
}

/// The claims of a token that was accepted.
#[derive(Debug, Clone)]
pub struct Claims {
    pub identity: Identity,
    pub validity: Validity,
    /// All of them, as they were sent.
    pub all: Map<String, Value>,
}

/// When a token counts, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validity {
    not_before: Option<f64>,
    expires: f64,
}

/// The last second of the year 9999: what is later was never meant as a time.
const LATEST: f64 = 253_402_300_799.0;

/// Now, as claims count it.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Claims {
    /// # Errors
    /// [`TokenError::Refused`] with the first claim that is wrong.
    pub(super) fn read(payload: &[u8], rules: &Rules, now: f64) -> Result<Self, TokenError> {
        let all = json::object(payload)
            .ok_or(TokenError::Refused("the signature is right, but its payload is no JSON object of claims"))?;
        let validity = Validity {
            expires: time(&all, "exp")?.ok_or(TokenError::Refused("the signature is right, but it has no `exp`"))?,
            not_before: time(&all, "nbf")?,
        };
        time(&all, "iat")?;
        issuer(&all, rules)?;
        audience(&all, rules)?;
        let identity = identity(&all, &rules.roles)?;
        validity.check(now, rules.leeway)?;
        Ok(Self { identity, validity, all })
    }
}

impl Validity {
    /// # Errors
    /// [`TokenError::Refused`] before it begins and once it has ended.
    pub(super) fn check(&self, now: f64, leeway: Duration) -> Result<(), TokenError> {
        let leeway = leeway.as_secs_f64();
        if now >= self.expires + leeway {
            return Err(TokenError::Refused("the signature is right, but it has expired"));
        }
        match self.not_before {
            Some(not_before) if now + leeway < not_before => {
                Err(TokenError::Refused("the signature is right, but it is not valid yet"))
            }
            _ => Ok(()),
        }
    }
}

/// A time that is there is a number, and one that clocks can show.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    match value.as_f64() {
        Some(seconds) if value.is_number() && (0.0..=LATEST).contains(&seconds) => Ok(Some(seconds)),
        _ => Err(TokenError::Refused("the signature is right, but `exp`, `nbf` or `iat` is no time")),
    }
}

fn issuer(claims: &Map<String, Value>, rules: &Rules) -> Result<(), TokenError> {
    match (claims.get("iss"), &rules.issuer) {
        (None | Some(Value::String(_)), None) => Ok(()),
        (Some(Value::String(found)), Some(wanted)) if found == wanted => Ok(()),
        _ => Err(TokenError::Refused("the signature is right, but its issuer is another")),
    }
}

fn audience(claims: &Map<String, Value>, rules: &Rules) -> Result<(), TokenError> {
    let wrong = TokenError::Refused("the signature is right, but it is for another audience");
    let named: Vec<&str> = match claims.get("aud") {
        None => Vec::new(),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => {
            several.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(|| wrong.clone())?
        }
        Some(_) => return Err(wrong),
    };
    match &rules.audience {
        Some(wanted) if !named.contains(&wanted.as_str()) => Err(wrong),
        _ => Ok(()),
    }
}

fn identity(claims: &Map<String, Value>, roles: &RolesClaim) -> Result<Identity, TokenError> {
    let Some(Value::String(subject)) = claims.get("sub") else {
        return Err(TokenError::Refused("the signature is right, but it names no subject"));
    };
    Identity::new(subject, roles.read(claims).map_err(TokenError::Refused)?)
}
