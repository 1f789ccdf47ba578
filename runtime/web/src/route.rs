//! A method and a path → what is asked. Pure.

use crate::assets::{self, Asset};
use hyper::Method;
use netd_api::Proto;
use percent_encoding::percent_decode_str;
use rcr_base::{Error, Kind, Outcome};
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// A file of the page.
    Asset(&'static Asset),
    /// What there is.
    Look(Look),
    /// A change.
    Act(Act),
    /// What happens from now on.
    Feed,
}

/// What somebody looks at.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// The program itself.
    About,
    /// All containers, networks, and how they are joined.
    Overview,
    /// One container.
    Container(String),
    /// The end of its log: so many lines. `seen`: as it was when the asker last looked.
    Log {
        /// A container.
        name: String,
        /// Lines from the end.
        tail: usize,
        /// What the last answer said of the file.
        seen: Option<String>,
    },
    /// What all containers that run take of the host, or what one takes.
    Figures(Option<String>),
    /// One network.
    Network(String),
    /// The hosts of the cluster.
    Nodes,
    /// What has happened lately.
    Events,
    /// Whether one reaches another.
    Why {
        /// A container, `host` or `outside`.
        from: String,
        /// The same, or an address, or a name.
        to: String,
        /// Absent: whether packets come through at all.
        port: Option<(u16, Proto)>,
    },
    /// What differs from what was made.
    Check,
}

/// What is to be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Start a container.
    Start(String),
    /// Stop a container.
    Stop(String),
    /// Stop and start a container.
    Restart(String),
    /// Remove a container that does not run.
    Remove(String),
    /// Put a container on one more network.
    Connect {
        /// A network.
        network: String,
        /// A container.
        container: String,
    },
    /// Take a container off a network.
    Disconnect {
        /// A network.
        network: String,
        /// A container.
        container: String,
    },
    /// Make again what somebody changed.
    Repair,
}

/// Lines of a log that are sent without being asked for more, and at most.
const TAIL: usize = 200;
const MOST_LINES: usize = 1000;

/// What a request asks for. `path`: behind the token, without a `/` before it. `query`: without its `?`.
pub fn asked(method: &Method, path: &str, query: Option<&str>) -> Outcome<Asked> {
    let parts = path.split('/').map(decoded).collect::<Outcome<Vec<String>>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let values = values(query.unwrap_or_default())?;
    match (method, &parts[..]) {
        (&Method::GET, ["api", "feed"]) => Ok(Asked::Feed),
        (&Method::GET, ["api", rest @ ..]) => look(rest, &values).map(Asked::Look),
        (&Method::POST, ["api", rest @ ..]) => act(rest).map(Asked::Act),
        (&Method::GET, [name]) => assets::find(name).map(Asked::Asset).ok_or_else(nothing),
        (&Method::GET | &Method::POST, _) => Err(nothing()),
        _ => Err(Error::new(Kind::Invalid, format!("the page has no use for `{method}`"))),
    }
}

fn nothing() -> Error {
    Error::new(Kind::NotFound, "the page has nothing of this name")
}

fn look(parts: &[&str], values: &[(String, String)]) -> Outcome<Look> {
    let value = |name: &str| values.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let needed = |name: &str| {
        value(name).filter(|value| !value.is_empty()).ok_or_else(|| invalid(format!("the value `{name}` is missing")))
    };
    Ok(match parts {
        ["about"] => Look::About,
        ["overview"] => Look::Overview,
        ["figures"] => Look::Figures(None),
        ["nodes"] => Look::Nodes,
        ["events"] => Look::Events,
        ["check"] => Look::Check,
        ["why"] => {
            let proto = match value("proto").as_deref() {
                None | Some("" | "tcp") => Proto::Tcp,
                Some("udp") => Proto::Udp,
                Some("sctp") => Proto::Sctp,
                Some(other) => return Err(invalid(format!("`{other}` is no protocol"))),
            };
            let port = value("port").filter(|text| !text.is_empty());
            let port = port.map(|text| number::<u16>(&text).map(|port| (port, proto))).transpose()?;
            Look::Why { from: needed("from")?, to: needed("to")?, port }
        }
        ["containers", name] => Look::Container((*name).to_owned()),
        ["containers", name, "figures"] => Look::Figures(Some((*name).to_owned())),
        ["containers", name, "log"] => {
            let tail = value("tail").map(|text| number(&text)).transpose()?;
            Look::Log { name: (*name).to_owned(), tail: tail.unwrap_or(TAIL).min(MOST_LINES), seen: value("seen") }
        }
        ["networks", name] => Look::Network((*name).to_owned()),
        _ => return Err(nothing()),
    })
}

fn act(parts: &[&str]) -> Outcome<Act> {
    let owned = |name: &&str| (**name).to_owned();
    Ok(match parts {
        ["containers", name, "start"] => Act::Start(owned(name)),
        ["containers", name, "stop"] => Act::Stop(owned(name)),
        ["containers", name, "restart"] => Act::Restart(owned(name)),
        ["containers", name, "remove"] => Act::Remove(owned(name)),
        ["networks", network, "connect", container] => {
            Act::Connect { network: owned(network), container: owned(container) }
        }
        ["networks", network, "disconnect", container] => {
            Act::Disconnect { network: owned(network), container: owned(container) }
        }
        ["check", "repair"] => Act::Repair,
        _ => return Err(nothing()),
    })
}

fn invalid(why: String) -> Error {
    Error::new(Kind::Invalid, why)
}

fn number<T: std::str::FromStr>(text: &str) -> Outcome<T> {
    text.parse().map_err(|_| invalid(format!("`{text}` is no number that fits")))
}

fn decoded(part: &str) -> Outcome<String> {
    let text = percent_decode_str(part).decode_utf8();
    text.map(Into::into).map_err(|_| invalid("the address is not UTF-8".to_owned()))
}

fn form(part: &str) -> Outcome<String> {
    decoded(&part.replace('+', " "))
}

/// `a=1&b=2`, as forms write it: `+` is a space (URL Standard, application/x-www-form-urlencoded).
fn values(query: &str) -> Outcome<Vec<(String, String)>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| Ok((form(k)?, form(v)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, query: &str) -> Result<Asked, Kind> {
        asked(&Method::GET, path, Some(query)).map_err(|error| error.kind)
    }

    #[test]
    fn what_is_asked_is_found_or_refused() {
        assert!(matches!(get("", ""), Ok(Asked::Asset(asset)) if asset.name == "index.html"));
        assert_eq!(get("api/containers/a%2Fb%20c", ""), Ok(Asked::Look(Look::Container("a/b c".into()))));
        let why = Look::Why { from: "c1".into(), to: "outside".into(), port: Some((53, Proto::Udp)) };
        assert_eq!(get("api/why", "from=c1&to=outside&port=53&proto=udp"), Ok(Asked::Look(why)));
        let spaces = Look::Why { from: "a b".into(), to: "a+b".into(), port: None };
        assert_eq!(get("api/why", "from=a+b&to=a%2Bb"), Ok(Asked::Look(spaces)));
        let log = |tail| Ok(Asked::Look(Look::Log { name: "c1".into(), tail, seen: None }));
        assert_eq!(
            (get("api/containers/c1/log", ""), get("api/containers/c1/log", "tail=999999")),
            (log(200), log(1000))
        );
        for (path, query) in [("api/why", "from=c1"), ("api/why", "from=a&to=b&port=70000"), ("api/networks/%ff", "")] {
            assert_eq!(get(path, query), Err(Kind::Invalid), "{path}?{query}");
        }
        for path in ["api", "api/x", "../etc/passwd", "index.html/x", "api/containers/c1/start"] {
            assert_eq!(get(path, ""), Err(Kind::NotFound), "{path}");
        }
    }

    #[test]
    fn a_change_is_never_a_look() {
        let post = |path: &str| asked(&Method::POST, path, None).map_err(|error| error.kind);
        let both = Act::Connect { network: "blue".into(), container: "c1".into() };
        assert_eq!(post("api/networks/blue/connect/c1"), Ok(Asked::Act(both)));
        assert_eq!(post("api/containers/c1/remove"), Ok(Asked::Act(Act::Remove("c1".into()))));
        for path in ["", "api/overview", "api/containers/c1", "api/containers/c1/log"] {
            assert_eq!(post(path), Err(Kind::NotFound), "{path}");
        }
        assert_eq!(asked(&Method::PUT, "", None).map_err(|error| error.kind), Err(Kind::Invalid));
    }
}
