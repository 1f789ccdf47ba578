//! Which namespaces a container shares.

use super::Parsed;
use super::words::nearest;
use crate::create::request::{IpcRequest, PidRequest};

/// `host`, or `container:NAME`; `private` and nothing at all: its own.
pub fn pid(text: &str) -> Parsed<PidRequest> {
    match (text, other(text)?) {
        ("" | "private", _) => Ok(PidRequest::Private),
        ("host", _) => Ok(PidRequest::Host),
        (_, Some(name)) => Ok(PidRequest::Container(name)),
        _ => Err(format!("unknown mode `{text}`{}", nearest(text, &["host", "private", "container:NAME"]))),
    }
}

/// `private`, `shareable`, `none`, `host`, or `container:NAME`.
pub fn ipc(text: &str) -> Parsed<IpcRequest> {
    match (text, other(text)?) {
        ("" | "private", _) => Ok(IpcRequest::Private),
        ("shareable", _) => Ok(IpcRequest::Shareable),
        ("none", _) => Ok(IpcRequest::None),
        ("host", _) => Ok(IpcRequest::Host),
        (_, Some(name)) => Ok(IpcRequest::Container(name)),
        _ => {
            let known = ["private", "shareable", "none", "host", "container:NAME"];
            Err(format!("unknown mode `{text}`{}", nearest(text, &known)))
        }
    }
}

fn other(text: &str) -> Parsed<Option<String>> {
    match text.strip_prefix("container:") {
        Some("") => Err("`container:` lacks the container's name".into()),
        name => Ok(name.map(str::to_owned)),
    }
}

/// `host`, or its own: whether it is the host's.
pub fn host_or_own(text: &str) -> Parsed<bool> {
    match text {
        "" | "private" => Ok(false),
        "host" => Ok(true),
        _ => Err(format!("unknown mode `{text}`; known are host, private")),
    }
}

/// `host`: no user of a container is another one on the host.
pub fn userns(text: &str) -> Parsed<bool> {
    match text {
        "" | "host" => Ok(true),
        _ => Err("containers have no user namespace of their own here: root in one is root, with few capabilities; \
                  known is host"
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_and_others_refused() {
        assert_eq!((pid(""), pid("host")), (Ok(PidRequest::Private), Ok(PidRequest::Host)));
        assert_eq!(pid("container:a"), Ok(PidRequest::Container("a".into())));
        assert_eq!((ipc("shareable"), ipc("none")), (Ok(IpcRequest::Shareable), Ok(IpcRequest::None)));
        assert_eq!(ipc("container:a"), Ok(IpcRequest::Container("a".into())));
        assert_eq!((host_or_own("host"), host_or_own("private"), userns("host")), (Ok(true), Ok(false), Ok(true)));
        for bad in ["hots", "container:", "none of these"] {
            assert!(pid(bad).is_err() && ipc(bad).is_err() && host_or_own(bad).is_err() && userns(bad).is_err());
        }
        assert!(ipc("sharable").unwrap_err().contains("did you mean `shareable`"));
    }
}
