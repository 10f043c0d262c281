//! Which secrets of `[secrets]` a service reads: `permissions.secrets`.
//!
//! Decides by name alone; values are elsewhere, and never here.

use std::sync::Arc;

use super::{ANY, Denial, Denied, Fix, Granted, Grants};

/// A secret that one service may read, or have put into its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretGrant {
    pub service: Arc<str>,
    pub name: Arc<str>,
}

/// What is left of `written` under a ceiling's names.
pub(super) fn within(written: &[Arc<str>], ceiling: &[Arc<str>]) -> Vec<Arc<str>> {
    let allowed = |name: &&Arc<str>| ceiling.iter().any(|most| most == *name || **most == *ANY);
    written.iter().filter(allowed).cloned().collect()
}

impl Grants {
    /// The secrets this service may read, by name.
    pub fn secrets(&self) -> impl Iterator<Item = Granted<SecretGrant>> + '_ {
        self.permissions.secrets.iter().map(|name| self.granted_secret(name))
    }

    /// # Errors
    /// [`Denied`] when the manifest does not grant this secret to this service.
    pub fn secret(&self, name: &str) -> Result<Granted<SecretGrant>, Denied> {
        match self.permissions.secrets.iter().find(|granted| ***granted == *name) {
            Some(name) => Ok(self.granted_secret(name)),
            None => Err(Denied {
                service: self.service.clone(),
                what: format!("the secret `{name}`"),
                line: format!("`secrets = [{name:?}]`"),
                word: self.word(self.written.secrets.iter().any(|written| **written == *name)),
            }),
        }
    }

    /// The refusal of everything to a service that is told nothing.
    pub fn no_secrets(&self) -> Denial {
        let word = self.word(!self.written.secrets.is_empty());
        let rule = word.rule().unwrap_or_else(|| "no secret and no variable is granted".to_owned());
        let fix = Fix::add("secrets = [\"NAME\"]".into(), word);
        Denial { service: self.service.clone(), target: "its configuration".into(), rule, fix }
    }

    fn granted_secret(&self, name: &Arc<str>) -> Granted<SecretGrant> {
        Granted(SecretGrant { service: self.service.clone(), name: name.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Permissions;

    #[test]
    fn a_secret_is_granted_by_its_name_and_a_denial_names_the_line() {
        let permissions = Permissions { secrets: vec!["MAIL_KEY".into()], ..Permissions::default() };
        let grants = Grants::new("mailer".into(), "shop.toml".into(), permissions);
        assert_eq!(&*grants.secret("MAIL_KEY").unwrap().get().name, "MAIL_KEY");
        assert_eq!(
            grants.secret("mail_key").unwrap_err().to_string(),
            "`mailer` may not use the secret `mail_key`; to allow it, add `secrets = [\"mail_key\"]` to \
             `services.mailer.permissions` in shop.toml"
        );
    }

    #[test]
    fn a_ceiling_leaves_the_names_that_it_allows() {
        let names = |texts: &[&str]| -> Vec<Arc<str>> { texts.iter().map(|text| (*text).into()).collect() };
        let written = names(&["A", "B"]);
        assert_eq!(within(&written, &names(&["B", "C"])), names(&["B"]));
        assert_eq!(within(&written, &names(&["*"])), written);
        assert_eq!(within(&written, &[]), names(&[]));
    }
}
