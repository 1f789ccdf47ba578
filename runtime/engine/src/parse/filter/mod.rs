//! Filters of listings and prunes, `key=value`, with Docker's keys. Several of one kind are alternatives, but for
//! labels, which must all fit.

mod container;
mod event;
mod image;
mod network;
mod volume;

pub use container::{ContainerFilter, container_filter};
pub use event::{EventFilter, event_filter};
pub use image::{ImageFilter, image_filter};
pub use network::{NetworkFilter, network_filter};
pub use volume::{VolumeFilter, volume_filter};

use super::Parsed;
use super::words::nearest;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashSet};

/// `label=KEY[=VALUE]`, or `label!=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelFilter {
    /// The label's key.
    pub key: String,
    /// Its value; absent: any.
    pub value: Option<String>,
    /// It is set so; false: it is not.
    pub wanted: bool,
}

impl LabelFilter {
    fn read(text: &str, wanted: bool) -> Self {
        match text.split_once('=') {
            Some((key, value)) => Self { key: key.to_owned(), value: Some(value.to_owned()), wanted },
            None => Self { key: text.to_owned(), value: None, wanted },
        }
    }

    /// Whether these labels are what it asks for.
    pub fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = labels.get(&self.key).is_some_and(|v| self.value.as_ref().is_none_or(|wanted| wanted == v));
        has == self.wanted
    }
}

/// What a prune may remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PruneFilter {
    /// What was made before this time.
    Until(Timestamp),
    /// What has such a label, or has not.
    Label(LabelFilter),
}

impl PruneFilter {
    /// Whether all of them let an object go. `created`: seconds since the epoch.
    pub fn all_fit(filters: &[Self], created: i64, labels: &BTreeMap<String, String>) -> bool {
        filters.iter().all(|filter| match filter {
            Self::Until(time) => created < time.as_second(),
            Self::Label(label) => label.fits(labels),
        })
    }
}

/// `until=TIME`, `label=…`, `label!=…`. `until`: reads the time.
pub fn prune_filter(text: &str, until: impl Fn(&str) -> Parsed<Timestamp>) -> Parsed<PruneFilter> {
    let (key, value) = key_value(text);
    match key {
        "until" => until(value).map(PruneFilter::Until),
        "label" | "label!" => Ok(PruneFilter::Label(LabelFilter::read(value, key == "label"))),
        _ => Err(unknown(key, &["until", "label"])),
    }
}

/// Whether an object fits.
pub(crate) type Fits<T> = Box<dyn Fn(&T) -> bool>;

/// One filter, ready to be asked about objects.
pub(crate) struct Test<T> {
    /// Tests of one kind are alternatives; every kind must fit.
    pub kind: &'static str,
    /// Whether an object fits.
    pub fits: Fits<T>,
}

/// Whether an object fits every kind of filter that was given.
pub(crate) fn fits_all<T>(object: &T, tests: &[Test<T>]) -> bool {
    let kinds: HashSet<&str> = tests.iter().map(|test| test.kind).collect();
    kinds.into_iter().all(|kind| {
        let mut same = tests.iter().filter(|test| test.kind == kind);
        match kind {
            "label" => same.all(|test| (test.fits)(object)),
            _ => same.any(|test| (test.fits)(object)),
        }
    })
}

fn key_value(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap_or((text, ""))
}

fn unknown(key: &str, known: &[&str]) -> String {
    format!("unknown filter `{key}`{}", nearest(key, known))
}

fn pattern(text: &str) -> Parsed<regex_lite::Regex> {
    regex_lite::Regex::new(text).map_err(|error| error.to_string())
}
