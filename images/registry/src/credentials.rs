//! docker's config.json, and its credential helpers (docker-credential-NAME; protocol: docker-credential-helpers, README).

use crate::refusal::other;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use rcr_images::reference::DOCKER_HUB;
use rcr_images::remote::wire::Refusal;
use serde_json::{Map, Value, json};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The key under which docker keeps the credentials of Docker Hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// How long a helper may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The configuration as it was when we began.
pub struct Store {
    path: Option<PathBuf>,
    config: Result<Value, Refusal>,
}

impl Store {
    /// Reads `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`. A missing file is an empty one.
    pub fn load() -> Self {
        let folder = std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let folder = folder.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")));
        Self::at(folder.map(|folder| folder.join("config.json")))
    }

    fn at(path: Option<PathBuf>) -> Self {
        let read = path.as_ref().map(fs::read);
        let config = match (read, &path) {
            (None, _) => Ok(json!({})),
            (Some(Err(error)), _) if error.kind() == io::ErrorKind::NotFound => Ok(json!({})),
            (Some(Err(error)), path) => Err(unreadable(path, error.to_string())),
            (Some(Ok(bytes)), path) => match serde_json::from_slice(&bytes) {
                Ok(Value::Object(config)) => Ok(Value::Object(config)),
                Ok(_) => Err(unreadable(path, "it is no JSON object".into())),
                Err(error) => Err(unreadable(path, error.to_string())),
            },
        };
        Self { path, config }
    }

    fn config(&self) -> Result<&Value, Refusal> {
        self.config.as_ref().map_err(Clone::clone)
    }

    /// The credentials for a registry; anonymous if there are none.
    pub fn lookup(&self, host: &str) -> Result<RegistryAuth, Refusal> {
        let config = self.config()?;
        if let Some(helper) = helper(config, host) {
            return Ok(ask_helper(helper, host)?.unwrap_or(RegistryAuth::Anonymous));
        }
        for key in keys(host) {
            let Some(entry) = config.get("auths").and_then(|auths| auths.get(&key)) else { continue };
            let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            if text("identitytoken").is_some() {
                let what =
                    format!("docker's configuration has an identity token for `{host}`, which cannot be used yet");
                return Err(Refusal {
                    causes: vec!["`rcr login` with a password or an access token replaces it".into()],
                    ..other(what)
                });
            }
            if let Some(auth) = text("auth") {
                return decode(auth).ok_or_else(|| {
                    other(format!("the credentials for `{host}` in docker's configuration are damaged"))
                });
            }
            if let (Some(user), Some(password)) = (text("username"), text("password")) {
                return Ok(RegistryAuth::Basic(user.into(), password.into()));
            }
        }
        Ok(RegistryAuth::Anonymous)
    }

    /// Keeps credentials: by the helper, if one is configured, else in the file.
    pub fn keep(&self, host: &str, user: &str, password: &str) -> Result<(), Refusal> {
        let config = self.config()?;
        if let Some(helper) = helper(config, host) {
            let request = json!({ "ServerURL": key(host), "Username": user, "Secret": password });
            return run_helper(helper, "store", &request.to_string()).map(drop);
        }
        let auth = STANDARD.encode(format!("{user}:{password}"));
        self.change(|auths| {
            auths.insert(key(host), json!({ "auth": auth }));
        })
    }

    /// Forgets credentials; false if there were none.
    pub fn forget(&self, host: &str) -> Result<bool, Refusal> {
        let config = self.config()?;
        if let Some(helper) = helper(config, host) {
            let there = ask_helper(helper, host)?.is_some();
            return run_helper(helper, "erase", &key(host)).map(|_| there);
        }
        let mut there = false;
        self.change(|auths| keys(host).iter().for_each(|key| there |= auths.remove(key).is_some()))?;
        Ok(there)
    }

    /// Writes the file anew, beside the old one, readable by its owner alone.
    fn change(&self, act: impl FnOnce(&mut Map<String, Value>)) -> Result<(), Refusal> {
        let mut config = self.config()?.clone();
        let failed = |why: String| Refusal { causes: vec![why], ..other("cannot write docker's configuration") };
        let auths = config.as_object_mut().map(|config| config.entry("auths").or_insert_with(|| json!({})));
        let auths = auths.and_then(Value::as_object_mut).ok_or_else(|| failed("`auths` is no object".into()))?;
        act(auths);
        let path = self.path.as_ref().ok_or_else(|| failed("neither HOME nor DOCKER_CONFIG is set".into()))?;
        let write = || -> io::Result<()> {
            if let Some(folder) = path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let temporary = path.with_extension(format!("json.{}", std::process::id()));
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(&serde_json::to_vec_pretty(&config)?)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        };
        write().map_err(|error| failed(format!("{}: {error}", path.display())))
    }
}

fn unreadable(path: &Option<PathBuf>, why: String) -> Refusal {
    let path = path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    Refusal { causes: vec![why], ..other(format!("cannot read docker's configuration `{path}`")) }
}

/// The key under which docker writes the credentials of a registry.
fn key(host: &str) -> String {
    if host == DOCKER_HUB { HUB_KEY.to_owned() } else { host.to_owned() }
}

/// All keys under which they may stand.
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

/// The helper that is in charge of a registry.
fn helper<'a>(config: &'a Value, host: &str) -> Option<&'a str> {
    let own = config.get("credHelpers").and_then(|all| keys(host).iter().find_map(|key| all.get(key)));
    own.or_else(|| config.get("credsStore")).and_then(Value::as_str).filter(|name| !name.is_empty())
}

fn ask_helper(helper: &str, host: &str) -> Result<Option<RegistryAuth>, Refusal> {
    let Some(said) = run_helper(helper, "get", &key(host))? else { return Ok(None) };
    let said: Value = serde_json::from_str(&said).map_err(|e| Refusal {
        causes: vec![e.to_string()],
        ..other(format!("docker-credential-{helper} gave no JSON"))
    })?;
    let text = |key: &str| said.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (user, secret) = (text("Username"), text("Secret"));
    match user.as_str() {
        "" => Ok(None),
        "<token>" => Err(other(format!("docker-credential-{helper} has an identity token, which cannot be used yet"))),
        _ => Ok(Some(RegistryAuth::Basic(user, secret))),
    }
}

/// What a helper says; `None` if it has nothing.
fn run_helper(helper: &str, verb: &str, input: &str) -> Result<Option<String>, Refusal> {
    let program = format!("docker-credential-{helper}");
    let failed = |why: String| Refusal { causes: vec![why], ..other(format!("`{program} {verb}` failed")) };
    if helper.contains('/') {
        return Err(failed("a helper's name is no path".into()));
    }
    let mut command = Command::new(&program);
    command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| failed(e.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    let until = Instant::now() + PATIENCE;
    // What a helper says is short: it fits the pipe, so that waiting first blocks nobody.
    while child.try_wait().map_err(|e| failed(e.to_string()))?.is_none() {
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed(format!("it took more than {} seconds", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match output.status.success() {
        true => Ok(Some(said)),
        false if said.contains("not found") => Ok(None),
        false => Err(failed(said.lines().next().unwrap_or("it gave no reason").to_owned())),
    }
}

fn decode(auth: &str) -> Option<RegistryAuth> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(RegistryAuth::Basic(user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn credentials_are_kept_found_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config.json");
        let store = || Store::at(Some(path.clone()));
        assert_eq!(store().lookup("docker.io"), Ok(RegistryAuth::Anonymous));
        store().keep("docker.io", "me", "a:b").unwrap();
        store().keep("localhost:5000", "you", "pass").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(HUB_KEY), "{text}");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(store().lookup("docker.io"), Ok(RegistryAuth::Basic("me".into(), "a:b".into())));
        assert_eq!(store().lookup("localhost:5000"), Ok(RegistryAuth::Basic("you".into(), "pass".into())));
        assert_eq!(store().lookup("localhost:5001"), Ok(RegistryAuth::Anonymous));
        assert_eq!(store().forget("docker.io"), Ok(true));
        assert_eq!(store().forget("docker.io"), Ok(false));
        assert_eq!(store().lookup("docker.io"), Ok(RegistryAuth::Anonymous));
        fs::write(&path, "{").unwrap();
        assert!(store().lookup("docker.io").is_err());
        fs::write(&path, r#"{"credHelpers":{"x.example":"../evil"}}"#).unwrap();
        assert!(store().lookup("x.example").unwrap_err().causes[0].contains("no path"));
        fs::write(&path, r#"{"auths":{"x.example":{"auth":"PHRva2VuPjo=","identitytoken":"t"}}}"#).unwrap();
        assert!(store().lookup("x.example").unwrap_err().causes[0].contains("rcr login"), "never the wrong user");
    }
}
