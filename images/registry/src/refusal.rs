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
    let denied = || refusal(RefusalKind::Denied, format!("`{host}` does not give `{{image}}` to us"));
    let missing = || refusal(RefusalKind::NotFound, format!("`{host}` has no image `{{image}}`"));
    match error {
        E::RequestError(request) if request.status().is_some_and(|s| [401, 403].contains(&s.as_u16())) => {
            denied().into()
        }
        E::RequestError(request) if request.status().is_some_and(|s| s.as_u16() == 404) => missing().into(),
        E::RequestError(request) => {
            let unreachable = request.is_connect() || request.is_timeout();
            let kind = if unreachable { RefusalKind::Unreachable } else { RefusalKind::Other };
            let message = match unreachable {
                true => format!("cannot reach the registry `{host}`"),
                false => format!("the registry `{host}` does not speak as it should"),
            };
            Trouble { refusal: Refusal { kind, message, causes: causes(request) }, again: !request.is_connect() }
        }
        E::UnauthorizedError { .. } => denied().into(),
        E::AuthenticationFailure(why) => Refusal { causes: cause(why), ..denied() }.into(),
        E::ImageManifestNotFoundError(_) => missing().into(),
        E::RegistryError { envelope, .. } => {
            let has = |codes: &[OciErrorCode]| envelope.errors.iter().any(|e| codes.contains(&e.code));
            let causes: Vec<String> =
                envelope.errors.iter().map(|e| e.message.clone()).filter(|m| !m.is_empty()).collect();
            if has(&[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound]) {
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
            let message = format!("the registry `{host}` sent other bytes than it says");
            Refusal { causes: vec![why.to_string()], ..other(message) }.into()
        }
        error => Refusal { causes: causes(error), ..other(format!("the registry `{host}` cannot be used")) }.into(),
    }
}

/// At most one line of what a server says.
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
            Some(errno) => rcr_images::errno_text(errno),
            None => error.to_string(),
        });
        next = error.source();
    }
    let skip = chain.len().saturating_sub(2);
    let mut last: Vec<String> = chain.split_off(skip);
    last.retain(|text| !text.contains("client error (Connect)") && !text.starts_with("error sending request"));
    last.dedup();
    last
}
