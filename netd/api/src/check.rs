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
    /// What the other hosts of the cluster have found, by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<HostCheckView>,
}

/// Another host of the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostCheckView {
    /// Its name.
    pub host: String,
    /// What it has found; absent: it was not looked at.
    #[serde(default)]
    pub found: Option<HostFindings>,
    /// Why it was not looked at.
    #[serde(default)]
    pub why: Option<String>,
}

/// What a host tells of its own check. Few lines, each short: it travels through the cluster's store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFindings {
    /// What is not as it was made.
    #[serde(default)]
    pub differences: Vec<DifferenceView>,
    /// What its networks depend on.
    #[serde(default)]
    pub around: Vec<AroundView>,
    /// How many steps were looked at.
    pub looked: u64,
    /// What could not be looked at, and why.
    #[serde(default)]
    pub unseen: Vec<String>,
    /// How many more lines there are, that the host itself can show.
    #[serde(default)]
    pub more: u64,
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
    /// Who did it, where that can be known: a file that sets the value, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
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

impl CheckView {
    /// Nothing differs, or all of it is repaired; nothing is in the way; all hosts were looked at.
    pub fn is_fine(&self) -> bool {
        let own = self.differences.iter().all(|one| one.repaired) && self.around.is_empty() && self.unseen.is_empty();
        own && self.others.iter().all(|other| other.found.as_ref().is_some_and(HostFindings::is_fine))
    }
}

impl HostFindings {
    fn is_fine(&self) -> bool {
        let repaired = self.differences.iter().all(|one| one.repaired);
        repaired && self.around.is_empty() && self.unseen.is_empty() && self.more == 0
    }
}
