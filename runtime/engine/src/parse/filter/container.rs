//! Filters of containers.

use super::{LabelFilter, key_value, pattern, unknown};
use crate::config::Exposed;
use crate::parse::words::{boolean, nearest};
use crate::parse::{Parsed, ports};
use regex_lite::Regex;

/// A filter of containers.
#[derive(Debug, Clone)]
pub enum ContainerFilter {
    /// A regular expression, found in the name with or without a slash before it.
    Name(Regex),
    /// A regular expression, found in the id.
    Id(Regex),
    /// A status by Docker's name.
    Status(String),
    /// A network that the container is on, by name or id.
    Network(String),
    /// A label.
    Label(LabelFilter),
    /// An image by name or id: its containers, and those of images that are built on it.
    Ancestor(String),
    /// The exit code of containers that have ended.
    Exited(i32),
    /// Created before this container.
    Before(String),
    /// Created after this container.
    Since(String),
    /// A volume by name, or where a mount lies in the container.
    Volume(String),
    /// A published port of the container.
    Publish(Exposed),
    /// An exposed port.
    Expose(Exposed),
    /// What the health check says: starting, healthy, unhealthy or none.
    Health(String),
    /// A task of a swarm, which no container here is.
    Task(bool),
}

const KNOWN: [&str; 14] = [
    "name", "id", "label", "status", "network", "ancestor", "exited", "before", "since", "volume", "publish", "expose",
    "health", "is-task",
];
const STATES: [&str; 7] = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];
const HEALTH: [&str; 4] = ["starting", "healthy", "unhealthy", "none"];

/// `name=…`, `status=…` and so on, `label!=…`.
pub fn container_filter(text: &str) -> Parsed<ContainerFilter> {
    let (key, value) = key_value(text);
    let one_of = |known: &[&str], what: &str| match known.contains(&value) {
        true => Ok(value.to_owned()),
        false => Err(format!("unknown {what} `{value}`{}", nearest(value, known))),
    };
    match key {
        "name" => pattern(value).map(ContainerFilter::Name),
        "id" => pattern(value).map(ContainerFilter::Id),
        "status" => one_of(&STATES, "status").map(ContainerFilter::Status),
        "health" => one_of(&HEALTH, "health").map(ContainerFilter::Health),
        "network" => Ok(ContainerFilter::Network(value.to_owned())),
        "label" | "label!" => Ok(ContainerFilter::Label(LabelFilter::read(value, key == "label"))),
        "ancestor" => Ok(ContainerFilter::Ancestor(value.to_owned())),
        "exited" => value.parse().map(ContainerFilter::Exited).map_err(|_| format!("`{value}` is not an exit code")),
        "before" => Ok(ContainerFilter::Before(value.to_owned())),
        "since" => Ok(ContainerFilter::Since(value.to_owned())),
        "volume" => Ok(ContainerFilter::Volume(value.to_owned())),
        "publish" => ports::exposed(value).map(ContainerFilter::Publish),
        "expose" => ports::exposed(value).map(ContainerFilter::Expose),
        "is-task" => boolean(value).map(ContainerFilter::Task),
        _ => Err(unknown(key, &KNOWN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_in_every_form() {
        let label = LabelFilter { key: "a".into(), value: Some("b".into()), wanted: false };
        assert!(matches!(container_filter("label!=a=b"), Ok(ContainerFilter::Label(given)) if given == label));
        assert!(container_filter("status=up").unwrap_err().starts_with("unknown status `up`"));
        assert!(container_filter("nme=x").unwrap_err().contains("did you mean `name`"));
        for bad in ["name=[", "exited=x", "publish=99999", "health=ill", "is-task=perhaps"] {
            assert!(container_filter(bad).is_err(), "{bad}");
        }
        assert!(matches!(container_filter("exited=137"), Ok(ContainerFilter::Exited(137))));
        assert!(matches!(container_filter("expose=80-90/udp"), Ok(ContainerFilter::Expose(Exposed { count: 11, .. }))));
    }
}
