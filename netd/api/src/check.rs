//! `rcr network check`: what differs from what was made.

use serde::{Deserialize, Serialize};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckView {
    /// What is not as it was made.
    pub differences: Vec<DifferenceView>,
    /// What our networks depend on, and is not as they need it; nothing of ours.
    #[serde(default)]
    pub around: Vec<AroundView>,
    /// How many steps were looked at.
    pub looked: u64,
    /// What could not be looked at, and why.
    #[serde(default)]
    pub unseen: Vec<String>,
}

/// Something of ours that somebody changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DifferenceView {
    /// What it was made for: `network blue`, `c1 on blue`, `all networks`.
    pub owner: String,
    /// Where it is: `host`, or a container's name.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
    /// It is as it should be again.
    #[serde(default)]
    pub repaired: bool,
}

/// Something of others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AroundView {
    /// What it is, and whose, where that is known.
    pub what: String,
    /// The command line that helps, if there is one.
    #[serde(default)]
    pub repair: Option<String>,
}
