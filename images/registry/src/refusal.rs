//! What the client crate's errors mean to a user.

use oci_client::errors::{OciDistributionError as E, OciErrorCode};
use rcr_images::remote::wire::{Refusal, RefusalKind};
use std::error::Error;

/// A failure, and whether trying again may help.
#[derive(Debug)]
pub struct Trouble {
    pub refusal: Refusal,
    pub again: bool,
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, again: false }
    }
}

pub fn other(message: impl Into<String>) -> Refusal {
    Refusal { kind: RefusalKind::Other, message: message.into(), causes: Vec::new() }
}

/// Translates an error of a request to `host`. `{image}` stands for the image's name, which only `rcr` knows.
pub fn translate(host: &str, error: &E) -> Trouble {
    let refusal = |kind, message: String| Refusal { kind, message, causes: Vec::new() };
    let denied = || refusal(RefusalKind::Denied, format!("`{host}` denies access to `{{image}}`"));
    let missing = || refusal(RefusalKind::NotFound, format!("`{host}` has no image `{{image}}`"));
    match error {
        E::RequestError(request) if request.status().is_some_and(|s| [401, 403].contains(&s.as_u16())) => {
            denied().into()
        }
        E::RequestError(request) if request.status().is_some_and(|s| s.as_u16() == 404) => missing().into(),
        E::RequestError(request) => {
            let again = !request.is_connect() && !request.is_builder();
            let kind = kind_of(request, request.is_connect() || request.is_timeout());
            let message = match kind {
                RefusalKind::Other => format!("the registry `{host}` does not follow the protocol"),
                _ => format!("cannot reach the registry `{host}`"),
            };
            Trouble { refusal: Refusal { kind, message, causes: causes(request) }, again }
        }
        E::UnauthorizedError { .. } => denied().into(),
        E::AuthenticationFailure(why) => Refusal { causes: cause(why), ..denied() }.into(),
        E::ImageManifestNotFoundError(_) => missing().into(),
        E::RegistryError { envelope, .. } => {
            let has = |codes: &[OciErrorCode]| envelope.errors.iter().any(|e| codes.contains(&e.code));
            let causes: Vec<String> = envelope.errors.iter().take(3).flat_map(|e| cause(&e.message)).collect();
            if has(&[OciErrorCode::BlobUnknown]) {
                Refusal { causes, ..other(format!("the registry `{host}` is missing a part of `{{image}}`")) }.into()
            } else if has(&[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound]) {
                Refusal { causes, ..missing() }.into()
            } else if has(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
                Refusal { causes, ..denied() }.into()
            } else {
                let again = has(&[OciErrorCode::Toomanyrequests]);
                Trouble { refusal: Refusal { causes, ..other(format!("the registry `{host}` refuses")) }, again }
            }
        }
        E::ServerError { code: 401 | 403, message, .. } => Refusal { causes: cause(message), ..denied() }.into(),
        E::ServerError { code: 404, .. } => missing().into(),
        E::ServerError { code, message, .. } => {
            let mut causes = vec![format!("HTTP status {code}")];
            causes.extend(cause(message));
            let refusal = Refusal { causes, ..other(format!("the registry `{host}` failed")) };
            Trouble { refusal, again: *code >= 500 || *code == 429 }
        }
        E::DigestError(why) => {
            let message = format!("the registry `{host}` sent other bytes than it announced");
            Refusal { causes: vec![why.to_string()], ..other(message) }.into()
        }
        error => Refusal { causes: causes(error), ..other(format!("the registry `{host}` cannot be used")) }.into(),
    }
}

/// Why a request failed: nobody answers, or the host can't be trusted.
fn kind_of(request: &(dyn Error + 'static), unreachable: bool) -> RefusalKind {
    let mut next = Some(request);
    while let Some(error) = next {
        match error.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(_)) => return RefusalKind::Untrusted,
            Some(rustls::Error::InvalidMessage(_)) => return RefusalKind::Plain,
            _ => {}
        }
        let io = error.downcast_ref::<std::io::Error>();
        // A host without TLS may hang up on it.
        if unreachable && io.is_some_and(|io| io.kind() == std::io::ErrorKind::UnexpectedEof) {
            return RefusalKind::Plain;
        }
        // An io::Error hides the error it wraps: its source is that error's source.
        let inner = io.and_then(std::io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn Error + 'static)).or(error.source());
    }
    if unreachable { RefusalKind::Unreachable } else { RefusalKind::Other }
}

/// At most one line of a server's message.
fn cause(text: &str) -> Vec<String> {
    let line: String = text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect();
    Some(line).filter(|line| !line.trim().is_empty()).into_iter().collect()
}

/// The innermost reasons of an error: the outer ones say only that a request failed.
pub fn causes(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut chain = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        chain.push(match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error) {
            Some(errno) => rcr_base::errno_text(errno),
            None => error.to_string(),
        });
        next = error.source();
    }
    let skip = chain.len().saturating_sub(2);
    let mut last: Vec<String> = chain.split_off(skip).iter().flat_map(|text| cause(text)).collect();
    last.retain(|text| !text.contains("client error (Connect)") && !text.starts_with("error sending request"));
    last.dedup();
    last
}
