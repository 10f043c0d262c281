//! Who this user is for a registry: what `docker login` wrote into Docker's own file.
//!
//! Programs that keep credentials (`credHelpers`, `credsStore`) are not run: they are refused by name, so that nobody
//! wonders why a registry says no.

use std::{collections::HashMap, fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use manifest::Environment;
use serde::Deserialize;

/// More than any such file has.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Name and password, never shown.
pub(super) struct Login {
    pub(super) name: String,
    pub(super) password: String,
}

/// Docker's file, read when a registry asks.
pub(super) struct Docker(Option<PathBuf>);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: HashMap<String, Auth>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl Docker {
    pub(super) fn of(environment: &Environment) -> Self {
        let own = environment.get("DOCKER_CONFIG").map(PathBuf::from);
        let usual = || environment.get("HOME").map(|home| PathBuf::from(home).join(".docker"));
        Self(own.or_else(usual).map(|folder| folder.join("config.json")))
    }

    /// None: nobody has logged in there.
    ///
    /// # Errors
    /// What is there and cannot be used.
    pub(super) fn of_registry(&self, registry: &str) -> Result<Option<Login>, String> {
        let Some(file) = self.0.as_ref().filter(|file| file.is_file()) else { return Ok(None) };
        let failed = |error: &dyn std::fmt::Display| format!("`{}` cannot be used: {error}", file.display());
        let size = fs::metadata(file).map_err(|error| failed(&error))?.len();
        if size > FILE_BYTES_MAX {
            return Err(failed(&"it is too large"));
        }
        let text = fs::read(file).map_err(|error| failed(&error))?;
        // What serde says of a file that has a secret in it could show that.
        let config: Config = serde_json::from_slice(&text).map_err(|_error| failed(&"it is no such JSON"))?;
        config.of(registry).map_err(|reason| failed(&reason))
    }
}

impl Config {
    fn of(&self, registry: &str) -> Result<Option<Login>, String> {
        let names: Vec<String> = match registry {
            "docker.io" => vec!["https://index.docker.io/v1/".to_owned()],
            other => vec![other.to_owned(), format!("https://{other}"), format!("http://{other}")],
        };
        let helper = |program: &str| {
            format!(
                "it keeps them in `docker-credential-{program}`, which is not run here; write them to `auths` of a file of the host's own, and name its folder by DOCKER_CONFIG"
            )
        };
        if let Some(program) = names.iter().find_map(|name| self.cred_helpers.get(name)) {
            return Err(helper(program));
        }
        let Some(auth) = names.iter().find_map(|name| self.auths.get(name)) else { return Ok(None) };
        if auth.identitytoken.is_some() {
            return Err("it has an identity token, which is not supported; log in with a name and a password or an access token".to_owned());
        }
        match (auth.login()?, &self.creds_store) {
            (None, Some(program)) => Err(helper(program)),
            (login, _) => Ok(login),
        }
    }
}

impl Auth {
    fn login(&self) -> Result<Option<Login>, String> {
        if let (Some(name), Some(password)) = (&self.username, &self.password) {
            return Ok(Some(Login { name: name.clone(), password: password.clone() }));
        }
        let Some(auth) = self.auth.as_ref().filter(|auth| !auth.is_empty()) else { return Ok(None) };
        let text = STANDARD.decode(auth).ok().and_then(|text| String::from_utf8(text).ok());
        let text = text.ok_or("an `auth` in it is no base64 of a text")?;
        let (name, password) = text.split_once(':').ok_or("an `auth` in it has no name and password")?;
        Ok(Some(Login { name: name.to_owned(), password: password.trim_end_matches('\0').to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(config: &str, registry: &str) -> Result<Option<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), config).unwrap();
        let environment = [("DOCKER_CONFIG".to_owned(), folder.path().to_str().unwrap().to_owned())];
        let login = Docker::of(&environment.into()).of_registry(registry);
        login.map(|login| login.map(|login| format!("{} {}", login.name, login.password)))
    }

    #[test]
    fn who_logged_in_with_docker_is_logged_in_here() {
        let config = format!(
            r#"{{"auths":{{"a:5000":{{"auth":"{}"}},"https://b":{{"username":"me","password":"p"}},"c":{{}}}}}}"#,
            STANDARD.encode("me:se:cret")
        );
        assert_eq!(asked(&config, "a:5000"), Ok(Some("me se:cret".to_owned())));
        assert_eq!(asked(&config, "b"), Ok(Some("me p".to_owned())));
        assert_eq!(asked(&config, "c"), Ok(None));
        assert_eq!(asked(&config, "d"), Ok(None));
    }

    #[test]
    fn what_cannot_be_used_is_named_and_no_secret_is_shown() {
        for (config, says) in [
            (r#"{"credHelpers":{"a":"ecr-login"}}"#, "docker-credential-ecr-login"),
            (r#"{"auths":{"a":{}},"credsStore":"desktop"}"#, "docker-credential-desktop"),
            (r#"{"auths":{"a":{"identitytoken":"hidden"}}}"#, "identity token"),
            (r#"{"auths":{"a":{"auth":"aGlkZGVu"}}}"#, "no name and password"),
            (r#"{"auths":{"a":{"auth":["hidden"]}}}"#, "no such JSON"),
        ] {
            let error = asked(config, "a").unwrap_err();
            assert!(error.contains(says) && !error.contains("hidden"), "{config}: {error}");
        }
    }
}
