//! One instance of rcr: its folders, its configuration, its netd.

use crate::dirs::Dirs;
use crate::net::Netd;
use crate::store::Containers;
use rcr_base::{Config, Doing, Outcome};
use std::path::{Path, PathBuf};

/// What every verb works on.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The folders of its state.
    pub dirs: Dirs,
    /// The configuration's file, for a netd that has to be started.
    pub config_file: Option<PathBuf>,
    /// The configuration.
    pub config: Config,
}

/// Where the configuration is looked for.
const CONFIG_FILE: &str = "/etc/rcr/config.toml";

impl Instance {
    /// The instance with its state in these folders. `config`: the configuration's file; absent: `/etc/rcr/config.toml`
    /// if it exists, else the defaults. Relative paths start from the current folder.
    pub fn open(root: &Path, run: &Path, config: Option<&Path>) -> Outcome<Self> {
        let absolute =
            |path: &Path| std::path::absolute(path).doing(|| format!("cannot use the folder `{}`", path.display()));
        let dirs = Dirs { root: absolute(root)?, run: absolute(run)? };
        // Docker's `--config` names a folder with credentials. Ours is a file.
        let (credentials, config) = match config.filter(|path| path.is_dir()) {
            Some(folder) => (Some(absolute(folder)?), None),
            None => (None, config),
        };
        let config_file = match config {
            Some(path) => Some(absolute(path)?),
            None => Some(PathBuf::from(CONFIG_FILE)).filter(|path| path.exists()),
        };
        let mut config = config_file.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
        config.images.credentials = credentials;
        Ok(Self { dirs, config_file, config })
    }

    /// The containers of this instance.
    pub fn containers(&self) -> Containers<'_> {
        Containers { dirs: &self.dirs }
    }

    /// netd, started if need be.
    pub fn netd(&self) -> Outcome<Netd> {
        Netd::connect(&self.dirs, self.config_file.as_deref())
    }
}
