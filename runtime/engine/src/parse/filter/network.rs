//! Filters of networks.

use super::{LabelFilter, key_value, pattern, unknown};
use crate::parse::Parsed;
use crate::parse::words::{boolean, nearest};
use regex_lite::Regex;

/// A filter of networks.
#[derive(Debug, Clone)]
pub enum NetworkFilter {
    /// A regular expression, found in the name.
    Name(Regex),
    /// How the id begins.
    Id(String),
    /// The driver's name.
    Driver(String),
    /// A label.
    Label(LabelFilter),
    /// `local` or `global`.
    Scope(String),
    /// There from the start (true), or made by somebody.
    Builtin(bool),
    /// No container is on it (true), or one is.
    Dangling(bool),
}

/// `name=…`, `id=…`, `driver=…`, `label=…`, `scope=…`, `type=custom|builtin`, `dangling=…`.
pub fn network_filter(text: &str) -> Parsed<NetworkFilter> {
    const KNOWN: [&str; 7] = ["name", "id", "driver", "label", "scope", "type", "dangling"];
    let (key, value) = key_value(text);
    match key {
        "name" => pattern(value).map(NetworkFilter::Name),
        "id" => Ok(NetworkFilter::Id(value.to_owned())),
        "driver" => Ok(NetworkFilter::Driver(value.to_owned())),
        "label" | "label!" => Ok(NetworkFilter::Label(LabelFilter::read(value, key == "label"))),
        "scope" => match value {
            "local" => Ok(NetworkFilter::Scope(value.to_owned())),
            // What spans hosts is called `swarm` there.
            "global" | "swarm" => Ok(NetworkFilter::Scope("global".into())),
            _ => Err(format!("unknown scope `{value}`{}", nearest(value, &["local", "global"]))),
        },
        "type" => match value {
            "custom" => Ok(NetworkFilter::Builtin(false)),
            "builtin" => Ok(NetworkFilter::Builtin(true)),
            _ => Err(format!("unknown type `{value}`{}", nearest(value, &["custom", "builtin"]))),
        },
        "dangling" => boolean(value).map(NetworkFilter::Dangling),
        _ => Err(unknown(key, &KNOWN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_networks() {
        assert!(matches!(network_filter("label=a=b"), Ok(NetworkFilter::Label(LabelFilter { wanted: true, .. }))));
        assert!(matches!(network_filter("type=custom"), Ok(NetworkFilter::Builtin(false))));
        for bad in ["status=x", "type=x", "scope=x", "dangling=x", "name=["] {
            assert!(network_filter(bad).is_err(), "{bad}");
        }
    }
}
