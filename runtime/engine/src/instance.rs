//! One instance of rcr: its folders, its configuration, its netd.

use crate::dirs::Dirs;
use crate::net::Netd;
use crate::store::Containers;
use rcr_base::{Config, Outcome};
use std::path::PathBuf;

/// What every verb works on.
#[derive(Debug, Clone)]
pub struct Instance {
    pub dirs: Dirs,
    /// The configuration's file, for a netd that has to be started.
    pub config_file: Option<PathBuf>,
    pub config: Config,
}

impl Instance {
    pub fn containers(&self) -> Containers<'_> {
        Containers { dirs: &self.dirs }
    }

    /// netd, started if need be.
    pub fn netd(&self) -> Outcome<Netd> {
        Netd::connect(&self.dirs, self.config_file.as_deref())
    }
}
