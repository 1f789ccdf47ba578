//! Filters of listings, `key=value`.

use super::Parsed;
use super::words::nearest;

/// A filter of containers. Several of one kind are alternatives, but for labels, which must all be there, as with
/// Docker.
#[derive(Debug, Clone)]
pub enum ContainerFilter {
    /// A regular expression, found in the name with or without a slash before it.
    Name(regex_lite::Regex),
    /// How the id begins.
    Id(String),
    /// A status by Docker's name.
    Status(String),
    /// The name of a network that the container is on.
    Network(String),
    /// A label that is set (`wanted`), or is not.
    Label {
        /// The label's key.
        key: String,
        /// Its value; absent: any.
        value: Option<String>,
        /// False: `label!=…`.
        wanted: bool,
    },
}

/// `name=…`, `id=…`, `label=…`, `label!=…`, `status=…`, `network=…`.
pub fn container_filter(text: &str) -> Parsed<ContainerFilter> {
    const KNOWN: [&str; 5] = ["name", "id", "label", "status", "network"];
    const STATES: [&str; 7] = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let value = value.to_owned();
    match key {
        "name" => regex_lite::Regex::new(&value).map(ContainerFilter::Name).map_err(|error| error.to_string()),
        "id" => Ok(ContainerFilter::Id(value)),
        "status" if STATES.contains(&value.as_str()) => Ok(ContainerFilter::Status(value)),
        "status" => Err(format!("unknown status `{value}`{}", nearest(&value, &STATES))),
        "network" => Ok(ContainerFilter::Network(value)),
        "label" | "label!" => {
            let (name, wanted_value) = label(&value);
            Ok(ContainerFilter::Label { key: name, value: wanted_value, wanted: key == "label" })
        }
        _ => Err(unknown(key, &KNOWN)),
    }
}

/// A filter of networks. All of them must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkFilter {
    /// A part of the name.
    Name(String),
    /// How the id begins.
    Id(String),
    /// The driver's name.
    Driver(String),
    /// A label, with this value or with any.
    Label(String, Option<String>),
}

/// `name=…`, `id=…`, `driver=…`, `label=…`.
pub fn network_filter(text: &str) -> Parsed<NetworkFilter> {
    const KNOWN: [&str; 4] = ["name", "id", "driver", "label"];
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    match key {
        "name" => Ok(NetworkFilter::Name(value.to_owned())),
        "id" => Ok(NetworkFilter::Id(value.to_owned())),
        "driver" => Ok(NetworkFilter::Driver(value.to_owned())),
        "label" => {
            let (key, value) = label(value);
            Ok(NetworkFilter::Label(key, value))
        }
        _ => Err(unknown(key, &KNOWN)),
    }
}

fn label(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

fn unknown(key: &str, known: &[&str]) -> String {
    format!("unknown filter `{key}`{}", nearest(key, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_in_every_form() {
        assert!(matches!(container_filter("label!=a=b"), Ok(ContainerFilter::Label { wanted: false, .. })));
        assert!(container_filter("status=up").unwrap_err().starts_with("unknown status `up`"));
        assert!(container_filter("nme=x").unwrap_err().contains("did you mean `name`"));
        assert!(container_filter("name=[").is_err());
        assert_eq!(network_filter("label=a=b"), Ok(NetworkFilter::Label("a".into(), Some("b".into()))));
        assert!(network_filter("status=x").is_err());
    }
}
