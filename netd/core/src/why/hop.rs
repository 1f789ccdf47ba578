//! A hop, and how its texts read.

use netd_api::Hop;

/// The host's name in an answer.
pub const HOST: &str = "host";

/// A hop without anything wrong.
pub fn hop(place: &str, what: String) -> Hop {
    Hop { place: place.to_owned(), what, fault: None, evidence: Vec::new(), repair: Vec::new() }
}

/// A command line without the quotes that hints have.
pub fn bare(line: String) -> String {
    line.trim_matches('`').to_owned()
}
