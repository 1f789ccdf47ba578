//! Finds credentials: docker's config.json on the disk, and its credential helpers as programs (docker-credential-NAME;
//! protocol: docker-credential-helpers, README). [`rcr_images::remote::credentials`] parses both.

use crate::refusal::other;
use oci_client::secrets::RegistryAuth;
use rcr_base::command;
use rcr_images::remote::credentials::{DockerConfig, Known, helper_says, key};
use rcr_images::remote::wire::Refusal;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a helper may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The configuration at our start.
pub struct Store {
    path: Option<PathBuf>,
    config: Result<DockerConfig, Refusal>,
}

impl Store {
    /// Reads `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`. A missing file counts as empty.
    pub fn load() -> Self {
        let folder = std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let folder = folder.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")));
        Self::at(folder.map(|folder| folder.join("config.json")))
    }

    fn at(path: Option<PathBuf>) -> Self {
        let config = match path.as_ref().map(fs::read) {
            None => Ok(DockerConfig::default()),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(DockerConfig::default()),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(bytes)) => DockerConfig::parse(&bytes),
        };
        let shown = path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let unreadable = |why| failed(format!("cannot read docker's configuration `{shown}`"), why);
        Self { config: config.map_err(unreadable), path }
    }

    fn config(&self) -> Result<&DockerConfig, Refusal> {
        self.config.as_ref().map_err(Clone::clone)
    }

    /// The credentials for a registry; anonymous if there are none.
    pub fn lookup(&self, host: &str) -> Result<RegistryAuth, Refusal> {
        let config = self.config()?;
        let known = match config.helper(host) {
            Some(helper) => ask_helper(helper, host)?,
            None => config.lookup(host),
        };
        match known {
            Known::Nothing => Ok(RegistryAuth::Anonymous),
            Known::Password { user, password } => Ok(RegistryAuth::Basic(user, password)),
            Known::Token => Err(failed(
                format!("docker has an identity token for `{host}`, which cannot be used yet"),
                format!("{} with a password or an access token replaces it", command::login("")),
            )),
            Known::Damaged => Err(other(format!("the credentials for `{host}` in docker's configuration are damaged"))),
        }
    }

    /// Saves credentials: by the helper, if one is configured, else in the file.
    pub fn keep(&self, host: &str, user: &str, password: &str) -> Result<(), Refusal> {
        if let Some(helper) = self.config()?.helper(host) {
            let request = json!({ "ServerURL": key(host), "Username": user, "Secret": password });
            return run_helper(helper, "store", &request.to_string()).map(drop);
        }
        self.change(|config| config.keep(host, user, password))
    }

    /// Removes credentials; false if there were none.
    pub fn forget(&self, host: &str) -> Result<bool, Refusal> {
        if let Some(helper) = self.config()?.helper(host) {
            let there = ask_helper(helper, host)? != Known::Nothing;
            if there {
                run_helper(helper, "erase", &key(host))?;
            }
            return Ok(there);
        }
        self.change(|config| config.forget(host))
    }

    /// Replaces the file; only its owner may read it.
    fn change<T>(&self, act: impl FnOnce(&mut DockerConfig) -> Result<T, String>) -> Result<T, Refusal> {
        let mut config = self.config()?.clone();
        let cannot = |why: String| failed("cannot write docker's configuration".into(), why);
        let done = act(&mut config).map_err(cannot)?;
        let path = self.path.as_ref().ok_or_else(|| cannot("neither HOME nor DOCKER_CONFIG is set".into()))?;
        let bytes = config.text().map_err(cannot)?;
        let write = || -> io::Result<()> {
            if let Some(folder) = path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let temporary = path.with_extension(format!("json.{}", std::process::id()));
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        };
        write().map_err(|error| cannot(format!("{}: {error}", path.display())))?;
        Ok(done)
    }
}

fn failed(message: String, why: String) -> Refusal {
    Refusal { causes: vec![why], ..other(message) }
}

fn ask_helper(helper: &str, host: &str) -> Result<Known, Refusal> {
    let Some(said) = run_helper(helper, "get", &key(host))? else { return Ok(Known::Nothing) };
    helper_says(&said).map_err(|why| failed(format!("docker-credential-{helper} gave no JSON"), why))
}

/// The output of a helper; `None` if it has nothing.
fn run_helper(helper: &str, verb: &str, input: &str) -> Result<Option<String>, Refusal> {
    let program = format!("docker-credential-{helper}");
    let failed = |why: String| failed(format!("`{program} {verb}` failed"), why);
    if helper.contains('/') {
        return Err(failed("a helper's name is no path".into()));
    }
    let mut command = Command::new(&program);
    command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| failed(reason(&e)))?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    let until = Instant::now() + PATIENCE;
    // A helper's output is short and fits the pipe, so waiting first blocks nobody.
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

/// An I/O error's reason, with the errno's name.
fn reason(error: &io::Error) -> String {
    rcr_base::io_text(error)
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
        assert!(text.contains("https://index.docker.io/v1/"), "{text}");
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
