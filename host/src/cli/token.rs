//! `archipel token`: development tokens with the manifest's key, new keys, and what a token says.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use gateway::auth::{Algorithm, Identity, KeySet, PemKey, Rules, TOKEN_BYTES_MAX, jwks, now, verify};
use serde_json::json;

use super::{
    Output,
    output::refused,
    run::{environment, test_data},
};
use backend::identity::{Issuer, KeyFile, Voucher};
use manifest::{self, AuthSettings, KeySettings, Manifest};

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Makes a token with the manifest's key, also while no host runs; prints it and nothing else.
    #[command(
        after_help = "Example:\n  TOKEN=$(archipel token sign manifests/shop.toml --sub 7 --role admin --ttl 1h)\n  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:3000/api/users"
    )]
    Sign {
        manifest: PathBuf,
        /// Whom it speaks for.
        #[arg(long)]
        sub: String,
        /// A role it gives; may be repeated.
        #[arg(long)]
        role: Vec<String>,
        /// How long it is valid: from 1s to 720h.
        #[arg(long, default_value = "1h")]
        ttl: String,
        /// Whose key signs, of `[auth]`; not needed where `gateway.auth` names it or there is one.
        #[arg(long)]
        auth: Option<String>,
    },

    /// Adds a new key to a generated set: it signs from now on, and those before verify for a day.
    #[command(
        after_help = "Example:\n  archipel token rotate manifests/shop.toml\n\nA host that runs takes the new key over within seconds."
    )]
    Rotate {
        manifest: PathBuf,
        /// Whose key, of `[auth]`; not needed where `gateway.auth` names it or there is one.
        #[arg(long)]
        auth: Option<String>,
        /// The key by which other hosts tell that a call comes from this one.
        #[arg(long, conflicts_with = "auth")]
        trust: bool,
    },

    /// Reads a token on standard input: prints its claims as JSON, or why it is refused.
    #[command(
        after_help = "Example:\n  echo \"$TOKEN\" | archipel token verify --keys jwks.json --issuer archipel --audience shop"
    )]
    Verify {
        /// A JSON Web Key (Set), or a key in PEM.
        #[arg(long)]
        keys: PathBuf,
        /// The issuer it must be of; any, if not given.
        #[arg(long)]
        issuer: Option<String>,
        /// The audience it must be for; any, if not given.
        #[arg(long)]
        audience: Option<String>,
        /// Only keys for this algorithm: EdDSA, RS256, ES256, HS256.
        #[arg(long)]
        alg: Option<String>,
    },
}

impl Token {
    pub(super) fn execute(self, output: Output, json: bool) -> anyhow::Result<ExitCode> {
        match self {
            Self::Sign { manifest, sub, role, ttl, auth } => {
                let ttl = manifest::ttl(&ttl).map_err(|reason| anyhow!("--ttl: {reason}"))?;
                Identity::new(&sub, role.iter().map(String::as_str)).map_err(|_| {
                    anyhow!("--sub and --role are visible ASCII without spaces, a role also without `,`")
                })?;
                with_issuer(&manifest, auth.as_deref(), output, |chosen| {
                    sign(chosen, &sub, &role, ttl, json.then_some(output))
                })
            }
            Self::Rotate { manifest, trust: true, .. } => with_manifest(&manifest, output, |_, data| {
                let kid = Voucher::rotate(data)?;
                match output.json {
                    true => output.document(&json!({ "trust": true, "kid": kid })),
                    false => output.text(&format!("other hosts are shown the new key {kid}, and soon what it signs\n")),
                }
            }),
            Self::Rotate { manifest, auth, .. } => with_issuer(&manifest, auth.as_deref(), output, |chosen| {
                let Chosen { name, settings, data } = chosen;
                if !matches!(settings.keys, KeySettings::Generated { .. }) {
                    bail!("the keys of `[auth.{name}]` are not made by the host; change them where they come from");
                }
                let kid = KeyFile::open(data, name)?.rotate()?;
                match output.json {
                    true => output.document(&json!({ "auth": &***name, "kid": kid })),
                    false => output.text(&format!("`{name}` signs with the new key {kid}\n")),
                }
            }),
            Self::Verify { keys, issuer, audience, alg } => {
                let rules = Rules { issuer, audience, leeway: Duration::from_secs(30), ..Rules::default() };
                let alg = alg.map(|alg| alg.parse::<Algorithm>()).transpose().context("--alg")?;
                let claims = verify(&self::keys(&keys, alg)?, &rules, read_token()?.trim_ascii(), now())?;
                output.document(&claims.all)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// The issuer a command is about.
struct Chosen<'a> {
    name: &'a Arc<str>,
    settings: &'a AuthSettings,
    data: &'a Path,
}

fn with_manifest(
    file: &Path,
    output: Output,
    act: impl FnOnce(&Manifest, &Path) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let manifest = match Manifest::load(file, &environment()) {
        Ok(loaded) => loaded.manifest,
        Err(problems) => return refused(&problems, output),
    };
    let data = test_data().unwrap_or_else(|| manifest.host.data.clone());
    act(&manifest, &data)?;
    Ok(ExitCode::SUCCESS)
}

fn with_issuer(
    file: &Path,
    auth: Option<&str>,
    output: Output,
    act: impl FnOnce(&Chosen<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    with_manifest(file, output, |manifest, data| {
        let issuers = &manifest.issuers;
        let names = || issuers.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let (name, settings) = match (auth.or(manifest.gateway.auth.as_deref()), issuers.len()) {
            (Some(name), _) => issuers
                .get_key_value(name)
                .with_context(|| format!("there is no `[auth.{name}]` in {}; it has {}", file.display(), names()))?,
            (None, 1) => issuers.iter().next().expect("one is there"),
            (None, 0) => bail!("{} has no `[auth.NAME]`; add `[auth.main]`", file.display()),
            (None, _) => bail!("{} has several issuers; say which by `--auth`: {}", file.display(), names()),
        };
        act(&Chosen { name, settings, data })
    })
}

fn sign(
    Chosen { name, settings, data }: &Chosen<'_>,
    subject: &str,
    roles: &[String],
    ttl: Duration,
    document: Option<Output>,
) -> anyhow::Result<()> {
    let token = Issuer::open(name, settings, data)?.sign_now(subject, roles, ttl)?;
    match document {
        Some(output) => output.document(&json!({ "token": token, "expiresIn": ttl.as_secs() })),
        None => Output { json: false, red: false, width: None }.text(&format!("{token}\n")),
    }
}

/// Keys from a JWK (Set) or a PEM, told apart by how they begin.
fn keys(file: &Path, algorithm: Option<Algorithm>) -> anyhow::Result<KeySet> {
    let document = manifest::key_document(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let unusable = || format!("`{}` holds no key to verify with", file.display());
    let set = match document.trim_ascii_start().starts_with(b"-----") {
        true => {
            let key = PemKey::parse(&String::from_utf8_lossy(&document), algorithm).with_context(unusable)?;
            KeySet::new(vec![key.public().clone()])
        }
        false => jwks::parse(&document, jwks::Secrets::Accept).with_context(unusable)?,
    };
    let fits = |key: &&gateway::auth::VerifyingKey| algorithm.is_none_or(|wanted| wanted == key.algorithm());
    Ok(KeySet::new(set.keys().iter().filter(fits).cloned().collect()))
}

fn read_token() -> anyhow::Result<String> {
    let mut token = String::new();
    // A little more than may be, so that what is too long is refused as such.
    let limit = u64::try_from(TOKEN_BYTES_MAX).expect("a small number") + 64;
    io::stdin().take(limit).read_to_string(&mut token).context("cannot read a token on standard input")?;
    Ok(token)
}
