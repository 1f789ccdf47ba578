//! A further program of a container: that of `exec`, and its health check.

use crate::bundle::powers::powers;
use crate::config::{Config, Security};
use crate::start::facts::own_capabilities;
use rcr_base::{Error, Kind, Outcome};
use rcr_shim::init::plan::{ProcessPlan, UserPlan};

/// The program. Absent fields are as in the container.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `user[:group]`.
    pub user: Option<String>,
    /// An absolute path.
    pub workdir: Option<String>,
    /// All capabilities, no seccomp filter.
    pub privileged: bool,
    /// It gets a terminal of its own.
    pub terminal: bool,
    /// The terminal's rows and columns.
    pub terminal_size: Option<(u16, u16)>,
    /// It goes on when its parent ends.
    pub outlives_its_parent: bool,
}

/// What its child process does before it becomes the program. `env`: its whole environment.
pub fn plan(config: &Config, wanted: &Program, env: Vec<String>) -> Outcome<ProcessPlan> {
    let refused = |why: String| Error::new(Kind::Invalid, why);
    let user = UserPlan::parse(wanted.user.as_ref().unwrap_or(&config.process.user)).map_err(refused)?;
    let user = user.with_groups(&config.process.group_add, &config.process.group_names);
    let security = Security {
        privileged: config.security.privileged || wanted.privileged,
        no_new_privs: config.security.no_new_privs && !wanted.privileged,
        ..config.security.clone()
    };
    let powers = powers(&security, own_capabilities()?).map_err(|e| refused(e.to_string()))?;
    let cwd = wanted.workdir.clone().unwrap_or_else(|| config.process.cwd.clone());
    if !cwd.starts_with('/') {
        return Err(refused(format!("the working directory `{cwd}` is not an absolute path")));
    }
    Ok(ProcessPlan {
        args: wanted.command.clone(),
        env,
        cwd,
        user,
        caps: powers.caps,
        no_new_privs: powers.no_new_privs,
        rlimits: config.rlimits.clone(),
        seccomp: powers.seccomp,
        terminal: wanted.terminal,
        terminal_size: wanted.terminal_size,
        oom_score_adj: config.resources.oom_score_adj,
        parent_death_signal: !wanted.outlives_its_parent,
    })
}
