//! A process's environment.

use crate::bundle::DEFAULT_PATH;
use oci_spec::image::Config as ImageConfig;

/// A container's environment: the image's, every container's, and the request's over both.
pub(super) fn of_container(
    wanted: &[String],
    defaults: &ImageConfig,
    hostname: Option<&str>,
    terminal: bool,
) -> Vec<String> {
    let mut all: Vec<String> = defaults.env().clone().unwrap_or_default();
    if !all.iter().any(|e| e.starts_with("PATH=")) {
        all.push(format!("PATH={DEFAULT_PATH}"));
    }
    if let Some(hostname) = hostname {
        set_default(&mut all, &format!("HOSTNAME={hostname}"));
    }
    if terminal {
        set_default(&mut all, "TERM=xterm");
    }
    for variable in wanted {
        set(&mut all, variable.clone());
    }
    all
}

/// Sets a variable, replacing one of the same name.
pub fn set(all: &mut Vec<String>, variable: String) {
    let name_len = variable.find('=').map_or(variable.len(), |at| at + 1);
    match all.iter_mut().find(|e| e.get(..name_len) == Some(&variable[..name_len])) {
        Some(old) => *old = variable,
        None => all.push(variable),
    }
}

/// Sets a variable unless it is set.
pub fn set_default(all: &mut Vec<String>, variable: &str) {
    let name_len = variable.find('=').map_or(variable.len(), |at| at + 1);
    if !all.iter().any(|e| e.get(..name_len) == Some(&variable[..name_len])) {
        all.push(variable.to_owned());
    }
}
