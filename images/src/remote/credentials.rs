//! docker's config.json, and the output of credential helpers, from untrusted bytes. Pure: no file or program is
//! touched here.

use crate::reference::DOCKER_HUB;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The key under which docker keeps the credentials of Docker Hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Our credentials at a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// None.
    Nothing,
    /// A password.
    Password {
        /// The user's name.
        user: String,
        /// The password, or an access token in its place.
        password: String,
    },
    /// An identity token, which stands for a user where a registry gives tokens.
    Token,
    /// There is an entry, but it is malformed.
    Damaged,
}

/// The configuration: an object with whatever else docker stores in it.
#[derive(Debug, Clone, Default)]
pub struct DockerConfig(Map<String, Value>);

impl DockerConfig {
    /// Parses the file.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(config)) => Ok(Self(config)),
            Ok(_) => Err("it is not a JSON object".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The file, for people to read.
    pub fn text(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec_pretty(&self.0).map_err(|error| error.to_string())
    }

    /// The helper for a registry: its own, else the one for all.
    pub fn helper(&self, host: &str) -> Option<&str> {
        let own = self.0.get("credHelpers").and_then(|all| keys(host).iter().find_map(|key| all.get(key)));
        own.or_else(|| self.0.get("credsStore")).and_then(Value::as_str).filter(|name| !name.is_empty())
    }

    /// What the file itself has for a registry.
    pub fn lookup(&self, host: &str) -> Known {
        let auths = self.0.get("auths");
        let Some(entry) = keys(host).iter().find_map(|key| auths?.get(key)) else { return Known::Nothing };
        let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if text("identitytoken").is_some() {
            return Known::Token;
        }
        match (text("auth"), text("username"), text("password")) {
            (Some(auth), ..) => decode(auth).unwrap_or(Known::Damaged),
            (None, Some(user), Some(password)) => Known::Password { user: user.into(), password: password.into() },
            // If a helper has them, docker leaves an empty entry.
            _ => Known::Nothing,
        }
    }

    /// Saves a password.
    pub fn keep(&mut self, host: &str, user: &str, password: &str) -> Result<(), String> {
        let auth = STANDARD.encode(format!("{user}:{password}"));
        self.auths()?.insert(key(host), json!({ "auth": auth }));
        Ok(())
    }

    /// Removes a password; false if there was none.
    pub fn forget(&mut self, host: &str) -> Result<bool, String> {
        let auths = self.auths()?;
        // Under each of its keys, not the first one alone.
        Ok(keys(host).iter().filter(|key| auths.remove(*key).is_some()).count() > 0)
    }

    fn auths(&mut self) -> Result<&mut Map<String, Value>, String> {
        let auths = self.0.entry("auths").or_insert_with(|| json!({}));
        auths.as_object_mut().ok_or_else(|| "`auths` is not an object".to_owned())
    }
}

/// The output of a helper (docker-credential-helpers, README).
pub fn helper_says(text: &str) -> Result<Known, String> {
    let said: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let part = |key: &str| said.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(match part("Username").as_str() {
        "" => Known::Nothing,
        "<token>" => Known::Token,
        user => Known::Password { user: user.to_owned(), password: part("Secret") },
    })
}

/// The key under which docker writes the credentials of a registry.
pub fn key(host: &str) -> String {
    if host == DOCKER_HUB { HUB_KEY.to_owned() } else { host.to_owned() }
}

/// All keys that docker may have used.
fn keys(host: &str) -> Vec<String> {
    let hosts = match host {
        DOCKER_HUB => vec![DOCKER_HUB, "index.docker.io", "registry-1.docker.io"],
        host => vec![host],
    };
    let forms = |host: &&str| {
        ["", "/", "/v1/", "/v2/", "/v1", "/v2"]
            .into_iter()
            .flat_map(|end| [format!("{host}{end}"), format!("https://{host}{end}"), format!("http://{host}{end}")])
            .collect::<Vec<_>>()
    };
    [key(host)].into_iter().chain(hosts.iter().flat_map(forms)).collect()
}

/// `user:password` in base64.
fn decode(auth: &str) -> Option<Known> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Known::Password { user: user.to_owned(), password: password.trim_end_matches('\0').to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> DockerConfig {
        DockerConfig::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn each_form_is_found_and_the_rest_is_kept() {
        let password = |user: &str, password: &str| Known::Password { user: user.into(), password: password.into() };
        let file = config(
            r#"{"psFormat":"x","auths":{"https://index.docker.io/v1/":{"auth":"bWU6YTpi"},"quay.example":{"username":"u","password":"p"},
               "https://old.example/v2/":{"auth":"bWU6c2VjcmV0AAA="},"token.example":{"auth":"PHRva2VuPjo=","identitytoken":"t"},
               "odd.example":{"auth":"!!!"},"empty.example":{}}}"#,
        );
        assert_eq!(file.lookup("docker.io"), password("me", "a:b"));
        assert_eq!(file.lookup("quay.example"), password("u", "p"));
        assert_eq!(file.lookup("old.example"), password("me", "secret"));
        assert_eq!(file.lookup("token.example"), Known::Token, "never the wrong user");
        assert_eq!(file.lookup("odd.example"), Known::Damaged);
        for nobody in ["empty.example", "quay.example:5000", "example", ""] {
            assert_eq!(file.lookup(nobody), Known::Nothing, "{nobody}");
        }
        let mut file = file;
        file.keep("localhost:5000", "you", "pass").unwrap();
        assert_eq!((file.forget("old.example"), file.forget("old.example")), (Ok(true), Ok(false)));
        let again = DockerConfig::parse(&file.text().unwrap()).unwrap();
        assert_eq!(again.lookup("localhost:5000"), password("you", "pass"));
        assert!(String::from_utf8(again.text().unwrap()).unwrap().contains("psFormat"));
    }

    #[test]
    fn helpers_are_chosen_and_understood() {
        let file = config(r#"{"credsStore":"all","credHelpers":{"a.example":"own","https://index.docker.io/v1/":""}}"#);
        assert_eq!((file.helper("a.example"), file.helper("b.example")), (Some("own"), Some("all")));
        assert_eq!(file.helper("docker.io"), None, "named and empty: the file itself");
        assert_eq!(helper_says(r#"{"Username":"<token>","Secret":"t"}"#), Ok(Known::Token));
        assert_eq!(helper_says("{}"), Ok(Known::Nothing));
        assert!(helper_says("no").is_err());
        for bad in ["", "[]", "{", "null"] {
            assert!(DockerConfig::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(config(r#"{"auths":[]}"#).keep("a", "b", "c").is_err());
    }
}
