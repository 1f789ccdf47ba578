//! Filters of volumes.

use super::{LabelFilter, key_value, pattern, unknown};
use crate::parse::Parsed;
use crate::parse::words::boolean;
use regex_lite::Regex;

/// A filter of volumes.
#[derive(Debug, Clone)]
pub enum VolumeFilter {
    /// A regular expression, found in the name.
    Name(Regex),
    /// No container uses it (true), or one does.
    Dangling(bool),
    /// The driver's name.
    Driver(String),
    /// A label.
    Label(LabelFilter),
}

/// `name=…`, `dangling=…`, `driver=…`, `label=…`.
pub fn volume_filter(text: &str) -> Parsed<VolumeFilter> {
    let (key, value) = key_value(text);
    match key {
        "name" => pattern(value).map(VolumeFilter::Name),
        "dangling" => boolean(value).map(VolumeFilter::Dangling),
        "driver" => Ok(VolumeFilter::Driver(value.to_owned())),
        "label" | "label!" => Ok(VolumeFilter::Label(LabelFilter::read(value, key == "label"))),
        _ => Err(unknown(key, &["name", "dangling", "driver", "label"])),
    }
}
