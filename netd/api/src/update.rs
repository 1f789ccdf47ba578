//! `rcr network update`.

use crate::SubnetRequest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is to change about a network. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkChange {
    /// In bytes.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Labels to set.
    #[serde(default)]
    pub add_labels: BTreeMap<String, String>,
    /// Keys of labels to remove.
    #[serde(default)]
    pub remove_labels: Vec<String>,
    /// Servers for names outside; an empty list takes them away.
    #[serde(default)]
    pub dns: Option<Vec<IpAddr>>,
    /// Subnets in addition to those there are.
    #[serde(default)]
    pub subnets: Vec<SubnetRequest>,
}
