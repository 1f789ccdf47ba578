//! Options of a container's security.

use super::Parsed;

/// One `--security-opt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityOption {
    /// Setuid programs and file capabilities give nothing.
    NoNewPrivileges(bool),
    /// No seccomp filter.
    Unconfined,
    /// Switches off what rcr does not use: SELinux labels, AppArmor.
    Nothing,
}

/// `no-new-privileges[=true|false]`, `seccomp=unconfined`; a colon stands for `=`, as with Docker.
pub fn security_option(text: &str) -> Parsed<SecurityOption> {
    match text.replacen(':', "=", 1).as_str() {
        "no-new-privileges" | "no-new-privileges=true" => Ok(SecurityOption::NoNewPrivileges(true)),
        "no-new-privileges=false" => Ok(SecurityOption::NoNewPrivileges(false)),
        "seccomp=unconfined" => Ok(SecurityOption::Unconfined),
        "label=disable" | "apparmor=unconfined" => Ok(SecurityOption::Nothing),
        _ => Err("known are no-new-privileges[=false] and seccomp=unconfined".into()),
    }
}
