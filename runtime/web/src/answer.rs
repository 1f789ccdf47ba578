//! Answers with their headers.

use crate::assets::Asset;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use rcr_base::{Error, Kind};
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc::Receiver;

/// The body of an answer.
#[derive(Debug)]
pub enum Said {
    /// All of it; taken when it is sent.
    Whole(Option<Bytes>),
    /// What comes, until the sender is gone.
    Flow(Receiver<Bytes>),
}

impl Body for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match self.get_mut() {
            Said::Whole(bytes) => bytes.take(),
            Said::Flow(receiver) => ready!(receiver.poll_recv(cx)),
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Said::Whole(None))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Said::Whole(bytes) => hyper::body::SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Said::Flow(_) => hyper::body::SizeHint::default(),
        }
    }
}

/// What every answer says. The page runs its own files alone: no script and no style inside it, nothing from elsewhere,
/// in nobody's frame; scripts can't make markup out of texts (`require-trusted-types-for`).
const HEADERS: [(&str, &str); 8] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
];

fn with(status: StatusCode, kind: &'static str, body: Said) -> Response<Said> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// A file of the page.
pub fn asset(asset: &'static Asset) -> Response<Said> {
    with(StatusCode::OK, asset.kind, Said::Whole(Some(Bytes::from_static(asset.text.as_bytes()))))
}

/// The page is at another path.
pub fn moved(path: &str) -> Response<Said> {
    let mut response = with(StatusCode::PERMANENT_REDIRECT, "text/plain", Said::Whole(None));
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

/// A value as JSON.
pub fn json(value: &impl Serialize) -> Response<Said> {
    match serde_json::to_vec(value) {
        Ok(bytes) => with(StatusCode::OK, "application/json", Said::Whole(Some(bytes.into()))),
        Err(error) => failed(&Error::new(Kind::System, "cannot write the answer").caused_by(error.to_string())),
    }
}

/// What comes, as events of a stream (HTML, 9.2).
pub fn flow(receiver: Receiver<Bytes>) -> Response<Said> {
    with(StatusCode::OK, "text/event-stream", Said::Flow(receiver))
}

/// An error as JSON, with the status that its kind has.
pub fn failed(error: &Error) -> Response<Said> {
    let status = match error.kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::InUse | Kind::Conflict => StatusCode::CONFLICT,
        Kind::Permission => StatusCode::FORBIDDEN,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Kind::Exhausted | Kind::Unavailable | Kind::Version => StatusCode::SERVICE_UNAVAILABLE,
        Kind::CannotExecute | Kind::CommandNotFound | Kind::Interrupted(_) | Kind::System => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    refused(status, error)
}

/// An error as JSON, with a status of its own.
pub fn refused(status: StatusCode, error: &Error) -> Response<Said> {
    let bytes = serde_json::to_vec(error).unwrap_or_default();
    with(status, "application/json", Said::Whole(Some(bytes.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_the_policy() {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        drop(sender);
        let lacking = Error::new(Kind::NotFound, "no such container: `x`").hint("look");
        for answer in [json(&1), failed(&lacking), flow(receiver), asset(&crate::assets::ALL[0])] {
            let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
            let policy = header("content-security-policy");
            assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
            assert_eq!((header("cache-control"), header("referrer-policy")), ("no-store".into(), "no-referrer".into()));
            assert_eq!(header("x-content-type-options"), "nosniff");
        }
        assert_eq!(failed(&lacking).status(), StatusCode::NOT_FOUND);
    }
}
