//! All permissions of one service: the fields, once. Whatever is done with every kind is done here.

use std::path::Path;

use document::{problem::Problem, source::Key, structure};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::permission::{
    Permission, Reading, Whose, call::Call, env::Env, folder, keyvalue::KeyValue, net::Net, passwords::Passwords,
    postgres::Postgres, publish::Publish, secrets::Secrets, sign::Sign, sockets::Sockets, subscribe::Subscribe,
};

macro_rules! permissions {
    ($($(#[doc = $doc:literal])* $field:ident: $kind:ty,)*) => {
        /// What a manifest grants to one service, in checked form. The default is nothing.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Permissions {
            $($(#[doc = $doc])* pub $field: $kind,)*
        }

        /// The same in the file's own words.
        #[derive(Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "what is only ever false is looked at along the schema, not by us")]
        pub struct RawPermissions {
            $($(#[doc = $doc])* pub $field: Option<<$kind as Permission>::Raw>,)*
            /// The permissions of a set, besides: a name of `[permission-sets]`.
            #[serde(rename = "use")]
            pub used: Option<String>,
            /// Never: a component starts no program.
            #[schemars(extend("const" = false))]
            run: Option<bool>,
            /// Never: a component calls no native code.
            #[schemars(extend("const" = false))]
            ffi: Option<bool>,
            /// Never: a component learns nothing about the machine.
            #[schemars(extend("const" = false))]
            sys: Option<bool>,
        }

        impl Permissions {
            /// The keys of `permissions`, in the order of [`Permissions::lines`].
            pub const KEYS: &'static [&'static str] = &[$(<$kind as Permission>::KEY,)*];

            /// What was written at `key`. Mistakes go to `reading`.
            pub fn read(raw: RawPermissions, key: &Key<'_>, reading: &mut Reading<'_>) -> Self {
                Self {
                    $($field: raw.$field.map_or_else(<$kind>::default, |raw| {
                        <$kind as Permission>::read(raw, &key.child(<$kind as Permission>::KEY), reading)
                    }),)*
                }
            }

            /// What these and a ceiling both allow.
            #[must_use]
            pub fn within(&self, ceiling: &Self) -> Self {
                Self { $($field: self.$field.within(&ceiling.$field),)* }
            }

            /// What `need` asks for and these lack.
            #[must_use]
            pub fn lacking(&self, need: &Self) -> Self {
                Self { $($field: self.$field.lacking(&need.$field),)* }
            }

            /// What either allow, denied where either deny.
            #[must_use]
            pub fn plus(&self, more: &Self) -> Self {
                Self { $($field: self.$field.plus(&more.$field),)* }
            }

            /// The lines of TOML that say them, one a kind.
            pub fn lines(&self) -> Vec<String> {
                [$(self.$field.line(),)*].into_iter().flatten().collect()
            }

            /// Every permission in a word or two, for people: `postgres users (read)`.
            pub fn words(&self) -> Vec<String> {
                [$(self.$field.words(),)*].concat()
            }

            /// The kind and the words of every entry that decisions are made by.
            pub(crate) fn decided(&self) -> Vec<(&'static str, String)> {
                let of = |kind, words: Vec<String>| words.into_iter().map(move |word| (kind, word));
                std::iter::empty()$(.chain(of(<$kind as Permission>::KEY, self.$field.decided())))*.collect()
            }

            /// The kinds of which something is granted.
            pub fn kinds(&self) -> Vec<&'static str> {
                [$((!self.$field.is_nothing()).then_some(<$kind as Permission>::KEY),)*].into_iter().flatten().collect()
            }
        }
    };
}

permissions! {
    /// Databases of `[postgres]` and how: `{ users = "read-write" }` or `"read"`.
    postgres: Postgres,
    /// Key-value stores of `[keyvalue]` and how: `{ cache = "read-write" }`, or
    /// `{ cache = { prefix = "users:", mode = "read" } }`.
    keyvalue: KeyValue,
    /// Topics it may publish to: `["order.*"]`; `*` is one segment, `**` the rest.
    publish: Publish,
    /// Topics it handles; written in the same way.
    subscribe: Subscribe,
    /// Services it may call at `http://NAME.internal`, whole: `["users"]`; or only for some
    /// requests: `{ users = true, products = ["POST /api/products/*/reserve"] }`.
    call: Call,
    /// Where it may dial out: `["api.example.com:443", "*.example.dev", "10.2.0.0/16:8080"]`.
    net: Net,
    /// Whether it may open TCP and UDP sockets of its own, to where `net` allows it.
    sockets: Sockets,
    /// Variables of the host's environment it sees: names, or prefixes like `FEATURE_*`.
    env: Env,
    /// Folders it may read: `["./templates"]`, or `{ host = "../data", guest = "/data" }`.
    read: folder::Read,
    /// Folders it may read and write; written in the same way.
    write: folder::Write,
    /// Secrets of `[secrets]` it may read: `["MAIL_KEY"]`.
    secrets: Secrets,
    /// Tokens signed by the host: by whose key, with which roles, for how long.
    sign: Sign,
    /// Whether it may have passwords hashed and compared by the host.
    passwords: Passwords,
}

impl Permissions {
    /// What a component says it needs. Keys that this host does not know are no needs that it can judge.
    ///
    /// # Errors
    /// What cannot be read of it, a sentence each.
    pub fn needs(text: &str) -> Result<Self, Vec<String>> {
        let file = Path::new("permissions.toml");
        let known = |problem: &Problem| {
            let key = problem.key.split(['.', '[']).next().unwrap_or_default();
            key.is_empty() || Self::KEYS.contains(&key)
        };
        let read = structure::read::<RawPermissions>(file, text, refusal);
        let mut problems: Vec<Problem> = read.problems.into_iter().filter(known).collect();
        let Some(raw) = read.raw else { return Err(told(&problems)) };
        let mut warnings = Vec::new();
        let folder = Path::new("/");
        let reading =
            &mut Reading { whose: Whose::Component, folder, problems: &mut problems, warnings: &mut warnings };
        let needs = Self::read(raw, &read.source.root(), reading);
        if problems.is_empty() { Ok(needs) } else { Err(told(&problems)) }
    }
}

fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// Why a key of `permissions` is refused, if it is one that people expect to work.
pub fn refusal(key: &str) -> Option<String> {
    let advice = match key {
        "run" => {
            "a component starts no program, so only `false` is accepted; publish an event that somebody outside \
             handles (`publish`), call a service that does it (`call`), or compose it with another component"
        }
        "ffi" => {
            "a component calls no native code, so only `false` is accepted; compile the library into the component, \
             or compose it with another component"
        }
        "sys" => {
            "a component learns nothing about the machine, so only `false` is accepted; pass what it needs by the \
             `env` permission and `services.NAME.env`"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}
