//! The registry and its mirrors.

use crate::credentials::Store as Credentials;
use crate::refusal::{self, Trouble, other};
use oci_client::client::{Certificate, CertificateEncoding, Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use rcr_images::remote::wire::{Refusal, RefusalKind, Session};
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Where docker and podman look for registries' certificates.
const CERTIFICATES: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];
/// How a certificate begins.
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// A host of the repository.
pub struct Endpoint {
    pub host: String,
    repository: String,
    /// Why there are none is reported when the endpoint is used.
    auth: Result<RegistryAuth, Refusal>,
    /// Authenticated for pulling, and for pushing.
    authenticated: [OnceCell<()>; 2],
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
            extra_root_certificates: certificates(&hosts)?,
            ..ClientConfig::default()
        })
        .map_err(|error| refusal::causes(&error).join(": "))?;
        let endpoint = |host: &&String| Endpoint {
            host: host.to_string(),
            repository: session.repository.clone(),
            auth: credentials.lookup(host),
            authenticated: Default::default(),
        };
        let all: Vec<Endpoint> = hosts.iter().map(endpoint).collect();
        Ok(Self { client, answered: AtomicUsize::new(all.len() - 1), all })
    }

    /// Mirrors first, the registry last.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        self.all.iter().enumerate()
    }

    /// Records who answered.
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

    /// Asks the registry whether it accepts these credentials.
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
        let token = self.client.auth(&image, &auth, RegistryOperation::Pull).await.map_err(|e| translate(&e))?;
        check_token(&origin.host, token)?;
        // A registry with basic authentication checks a password only on a request. We ask for something that does not
        // exist.
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

    /// Gets a token if the registry gives tokens, once per operation; the client keeps it.
    pub async fn authenticate(&self, client: &Client, operation: RegistryOperation) -> Result<(), Trouble> {
        let once = match operation {
            RegistryOperation::Pull => &self.authenticated[0],
            RegistryOperation::Push => &self.authenticated[1],
        };
        let ask = async || {
            let token = client.auth(&self.image("latest"), self.auth()?, operation).await;
            let token = token.map_err(|error| refusal::translate(&self.host, &error))?;
            check_token(&self.host, token).map_err(Trouble::from)
        };
        once.get_or_try_init(ask).await?;
        Ok(())
    }

    /// The credentials for this host.
    pub fn auth(&self) -> Result<&RegistryAuth, Trouble> {
        self.auth.as_ref().map_err(|refusal| refusal.clone().into())
    }
}

/// The client assumes that a token can be written into a header.
fn check_token(host: &str, token: Option<String>) -> Result<(), Refusal> {
    match token.is_none_or(|token| token.bytes().all(|b| b.is_ascii_graphic())) {
        true => Ok(()),
        false => Err(other(format!("the registry `{host}` gave an invalid token"))),
    }
}

/// Certificates that docker and podman trust for these hosts: `HOST/*.crt` in their folders. A mirror's certificate
/// also vouches for the registry: the same administrator named both.
fn certificates(hosts: &[&String]) -> Result<Vec<Certificate>, String> {
    let folders = hosts.iter().flat_map(|host| CERTIFICATES.map(|folder| Path::new(folder).join(host)));
    let files =
        folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten()).map(|entry| entry.path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "crt"))
        .map(|path| {
            let read = fs::read(&path).map_err(|error| error.to_string());
            let data = read.and_then(|data| match data.windows(PEM.len()).any(|part| part == PEM) {
                true => Ok(data),
                false => Err("it contains no certificate".into()),
            });
            let data = data.map_err(|why| format!("cannot use the certificate `{}`: {why}", path.display()))?;
            Ok(Certificate { encoding: CertificateEncoding::Pem, data })
        })
        .collect()
}

/// Names and addresses of this machine itself: nobody can listen in between.
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
