//! `permissions.sign`: which tokens a service may have signed by the host.

use std::{sync::Arc, time::Duration};

use document::{quantity::Time, source::Key};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ANY, Permission, Reading, list_of, quoted, union};
use crate::{Denied, Granted, Grants, Permissions};

/// The longest tokens may be valid where nothing is written.
pub const TTL_MAX: Time = Time::minutes(60);
/// How long tokens may be valid at all.
pub const TTLS: std::ops::RangeInclusive<Time> = Time::seconds(1)..=Time::minutes(30 * 24 * 60);

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sign(pub Option<SignGrant>);

/// Which tokens a service may have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignGrant {
    pub auth: Arc<str>,
    pub roles: Vec<Arc<str>>,
    pub ttl_max: Duration,
}

/// A token that may be signed, by the name of its issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    pub auth: Arc<str>,
    pub roles: Vec<String>,
    pub ttl: Duration,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSign {
    /// Whose key signs: a name of `[auth]`.
    #[schemars(required)]
    auth: Option<String>,
    /// Roles its tokens may give. None: tokens without roles.
    #[schemars(extend("examples" = [["user"]]))]
    #[serde(default)]
    roles: Vec<String>,
    /// The longest its tokens may be valid.
    #[schemars(extend("default" = TTL_MAX))]
    ttl_max: Option<Time>,
}

impl Permission for Sign {
    const KEY: &'static str = "sign";
    type Raw = RawSign;

    fn read(raw: RawSign, key: &Key<'_>, reading: &mut Reading<'_>) -> Self {
        let auth_key = key.child("auth");
        if raw.auth.is_none() && !auth_key.is_written() {
            reading.wrong(&auth_key, "is missing; add `auth = \"main\"`");
        }
        let roles = roles(raw.roles, &key.child("roles"), reading);
        let ttl = raw.ttl_max.unwrap_or(TTL_MAX);
        if !TTLS.contains(&ttl) {
            let message = format_args!("ttl_max is {ttl}; it must be {} to {}", TTLS.start(), TTLS.end());
            reading.wrong(&key.child("ttl_max"), message);
        }
        let grant = |auth: String| SignGrant { auth: reading.name(&auth_key, &auth), roles, ttl_max: ttl.get() };
        Self(raw.auth.map(grant))
    }

    fn within(&self, ceiling: &Self) -> Self {
        let (Some(sign), Some(most)) = (&self.0, &ceiling.0) else { return Self(None) };
        let roles = sign.roles.iter().filter(|role| most.roles.contains(role)).cloned().collect();
        let ttl_max = sign.ttl_max.min(most.ttl_max);
        Self(most.is_for(&sign.auth).then(|| SignGrant { auth: sign.auth.clone(), roles, ttl_max }))
    }

    /// How long tokens may be valid is the operator's own choice.
    fn lacking(&self, need: &Self) -> Self {
        let Some(need) = &need.0 else { return Self(None) };
        let granted = self.0.as_ref().filter(|granted| granted.is_for(&need.auth));
        let lacks = |role: &&Arc<str>| granted.is_none_or(|granted| !granted.has(role));
        let roles: Vec<_> = need.roles.iter().filter(lacks).cloned().collect();
        match granted {
            Some(_) if roles.is_empty() => Self(None),
            Some(_) | None => Self(Some(SignGrant { roles, ..need.clone() })),
        }
    }

    /// A service signs for one issuer: another one's tokens still lack afterwards.
    fn plus(&self, more: &Self) -> Self {
        match (&self.0, &more.0) {
            (known, None) => Self(known.clone()),
            (None, more) => Self(more.clone()),
            (Some(known), Some(more)) if known.auth == more.auth => {
                Self(Some(SignGrant { roles: union(&known.roles, &more.roles), ..known.clone() }))
            }
            (known, _) => Self(known.clone()),
        }
    }

    fn value(&self) -> Option<String> {
        self.0.as_ref().map(SignGrant::value)
    }

    fn words(&self) -> Vec<String> {
        let word = |sign: &SignGrant| match sign.roles.is_empty() {
            true => format!("sign {}", sign.auth),
            false => format!("sign {} ({})", sign.auth, sign.roles.join(", ")),
        };
        self.0.iter().map(word).collect()
    }
}

fn roles(written: Vec<String>, key: &Key<'_>, reading: &mut Reading<'_>) -> Vec<Arc<str>> {
    let mut roles = Vec::new();
    for (index, role) in written.into_iter().enumerate() {
        let right = (1..=64).contains(&role.len()) && role.bytes().all(|b| b.is_ascii_graphic() && b != b',');
        match right {
            true => roles.push(role.into()),
            false => reading.wrong(
                &key.item(index),
                format_args!("`{role}` cannot be a role; write up to 64 visible ASCII characters without `,`"),
            ),
        }
    }
    roles
}

impl SignGrant {
    fn is_for(&self, auth: &str) -> bool {
        *self.auth == *auth || *self.auth == *ANY
    }

    fn allows(&self, auth: &str, roles: &[String], ttl: Duration) -> bool {
        self.is_for(auth) && roles.iter().all(|role| self.has(role)) && ttl <= self.ttl_max
    }

    fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|known| **known == *role)
    }

    fn value(&self) -> String {
        let roles = list_of(&self.roles).unwrap_or_else(|| "[]".to_owned());
        let ttl = quoted(&Time::from(self.ttl_max).to_string());
        format!("{{ auth = {}, roles = {roles}, ttl_max = {ttl} }}", quoted(&self.auth))
    }

    /// What it lacks for these tokens, and the whole grant that would have it.
    fn short_of(&self, roles: &[String], ttl: Duration) -> (String, Self) {
        match roles.iter().find(|role| !self.has(role)) {
            Some(role) => {
                let all = self.roles.iter().cloned().chain([role.as_str().into()]).collect();
                (format!("sign {} ({role})", self.auth), Self { roles: all, ..self.clone() })
            }
            None => {
                (format!("sign {} (valid for {} s)", self.auth, ttl.as_secs()), Self { ttl_max: ttl, ..self.clone() })
            }
        }
    }
}

impl Grants {
    /// Whether a token of `auth` with these roles and this lifetime may be signed.
    ///
    /// # Errors
    /// [`Denied`] with the whole line that would allow it.
    pub fn sign(&self, auth: &str, roles: Vec<String>, ttl: Duration) -> Result<Granted<Signing>, Denied> {
        let roles_needed: Vec<Arc<str>> = match self.audit {
            Some(_) => roles.iter().map(|role| role.as_str().into()).collect(),
            None => Vec::new(),
        };
        let need = || Permissions {
            sign: Sign(Some(SignGrant { auth: auth.into(), roles: roles_needed, ttl_max: ttl })),
            ..Permissions::default()
        };
        if let Some(grant) = self.left.sign.0.as_ref().filter(|grant| grant.allows(auth, &roles, ttl)) {
            let signing = Signing { auth: grant.auth.clone(), roles, ttl };
            return Ok(self.granted(Sign::KEY, Some(0), need, signing));
        }
        if self.audit.is_some() {
            return Ok(self.granted(Sign::KEY, None, need, Signing { auth: auth.into(), roles, ttl }));
        }
        let is_written = self.written.sign.0.as_ref().is_some_and(|grant| grant.allows(auth, &roles, ttl));
        let says_no = match self.ceiling() {
            Some(ceiling) if is_written => ceiling.allowed().sign.0.as_ref(),
            _ => self.written.sign.0.as_ref(),
        };
        let (target, grant) = match says_no.filter(|grant| grant.is_for(auth)) {
            Some(grant) => grant.short_of(&roles, ttl),
            None => {
                let roles = roles.iter().map(|role| role.as_str().into()).collect();
                (format!("sign {auth}"), SignGrant { auth: auth.into(), roles, ttl_max: ttl })
            }
        };
        let line = format!("sign = {}", grant.value());
        Err(self.denied(target, "`sign` does not cover it".to_owned(), line, is_written))
    }

    /// What may be signed at all.
    pub fn signs(&self) -> Option<&SignGrant> {
        self.left.sign.0.as_ref()
    }
}
