//! The registry and its mirrors.

use crate::credentials::Store as Credentials;
use crate::refusal::{self, Trouble};
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use rcr_images::remote::wire::{Refusal, RefusalKind, Session};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A host that has the repository.
pub struct Endpoint {
    pub host: String,
    repository: String,
    /// Why there are none is told when the endpoint is asked.
    auth: Result<RegistryAuth, Refusal>,
}

/// All of them, mirrors first, the registry itself last.
pub struct Endpoints {
    pub client: Client,
    all: Vec<Endpoint>,
    /// The one that answered: blobs come from where the manifest came from.
    answered: AtomicUsize,
}

impl Endpoints {
    pub fn new(session: &Session, credentials: &Credentials) -> Result<Self, String> {
        let config = &session.config;
        let mirrors = config.mirrors.get(&session.host).into_iter().flatten();
        let hosts: Vec<&String> = mirrors.chain([&session.host]).collect();
        let insecure = |host: &str| is_loopback(host) || config.insecure.iter().any(|h| h == host);
        let plain = hosts.iter().filter(|host| insecure(host)).map(|host| host.to_string()).collect();
        let client = Client::try_from(ClientConfig {
            protocol: ClientProtocol::HttpsExcept(plain),
            connect_timeout: Some(Duration::from_secs(config.connect_timeout.max(1))),
            read_timeout: Some(Duration::from_secs(config.read_timeout.max(1))),
            user_agent: concat!("rcr/", env!("CARGO_PKG_VERSION")),
            use_monolithic_push: true,
            ..ClientConfig::default()
        })
        .map_err(|error| refusal::causes(&error).join(": "))?;
        let endpoint = |host: &&String| Endpoint {
            host: host.to_string(),
            repository: session.repository.clone(),
            auth: credentials.lookup(host),
        };
        let all: Vec<Endpoint> = hosts.iter().map(endpoint).collect();
        Ok(Self { client, answered: AtomicUsize::new(all.len() - 1), all })
    }

    /// Mirrors first, the registry last.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        self.all.iter().enumerate()
    }

    /// Remembers who answered.
    pub fn prefer(&self, index: usize) {
        self.answered.store(index, Ordering::Relaxed);
    }

    /// Who answered, else the registry itself.
    pub fn preferred(&self) -> &Endpoint {
        self.all.get(self.answered.load(Ordering::Relaxed)).unwrap_or(self.origin())
    }

    /// The registry itself. There always is one.
    pub fn origin(&self) -> &Endpoint {
        &self.all[self.all.len() - 1]
    }

    /// Asks the registry whether it likes these credentials.
    pub async fn check_login(&self, user: &str, password: &str) -> Result<(), Refusal> {
        let origin = self.origin();
        let auth = RegistryAuth::Basic(user.to_owned(), password.to_owned());
        let image = origin.image("latest");
        let denied = |refusal: Refusal| Refusal {
            message: format!("`{}` does not accept this user and password", origin.host),
            ..refusal
        };
        let translate = |error: &OciDistributionError| {
            let refusal = refusal::translate(&origin.host, error).refusal;
            if refusal.kind == RefusalKind::Denied { denied(refusal) } else { refusal }
        };
        self.client.auth(&image, &auth, RegistryOperation::Pull).await.map_err(|e| translate(&e))?;
        // A registry that asks for a password itself looks at it only when something is wanted. What is wanted is not there.
        match self.client.fetch_manifest_digest(&image, &auth).await {
            Ok(_) => Ok(()),
            Err(error) => match translate(&error) {
                refusal if refusal.kind == RefusalKind::NotFound => Ok(()),
                refusal => Err(refusal),
            },
        }
    }
}

impl Endpoint {
    /// A tag or a digest at this host.
    pub fn image(&self, target: &str) -> Reference {
        let (host, repository, target) = (self.host.clone(), self.repository.clone(), target.to_owned());
        match target.contains(':') {
            true => Reference::with_digest(host, repository, target),
            false => Reference::with_tag(host, repository, target),
        }
    }

    /// The credentials for this host.
    pub fn auth(&self) -> Result<&RegistryAuth, Trouble> {
        self.auth.as_ref().map_err(|refusal| refusal.clone().into())
    }
}

/// Names and addresses of this machine itself: nobody listens in between.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #[test]
    fn loopback_is_known() {
        for yes in ["localhost", "localhost:5000", "127.0.0.1:1", "127.9.9.9", "[::1]:5000", "[::1]"] {
            assert!(super::is_loopback(yes), "{yes}");
        }
        for no in ["docker.io", "localhost.example:5000", "10.0.0.1", "[::2]:1", "127.0.0.1.example"] {
            assert!(!super::is_loopback(no), "{no}");
        }
    }
}
