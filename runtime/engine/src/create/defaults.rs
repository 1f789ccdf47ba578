//! What an image says about running it. Fields that can't be used are named, and stop nothing.

use crate::parse::{ports, signal};
use oci_spec::image::Config;
use rcr_shim::init::plan::UserPlan;

/// The usable defaults, and a line for each field that is not.
pub fn usable(mut defaults: Config) -> (Config, Vec<String>) {
    let mut strange = Vec::new();
    ports(&mut defaults, &mut strange);
    signal(&mut defaults, &mut strange);
    folders(&mut defaults, &mut strange);
    user(&mut defaults, &mut strange);
    environment(&mut defaults, &mut strange);
    (defaults, strange)
}

/// `EXPOSE $PORT` that was never filled in, or `80/TCP`.
fn ports(defaults: &mut Config, strange: &mut Vec<String>) {
    let Some(ports) = defaults.exposed_ports().clone() else { return };
    let usable = ports.into_iter().filter_map(|port| {
        let low = port.trim().to_ascii_lowercase();
        match ports::exposed(&low) {
            Ok(_) => Some(low),
            Err(why) => {
                strange.push(format!("ExposedPorts `{}` is ignored: {why}", port.escape_default()));
                None
            }
        }
    });
    let usable = usable.collect();
    defaults.set_exposed_ports(Some(usable));
}

fn signal(defaults: &mut Config, strange: &mut Vec<String>) {
    let Some(text) = defaults.stop_signal().clone() else { return };
    let trimmed = text.trim();
    let usable = match signal::signal(trimmed) {
        Ok(_) => Some(trimmed.to_owned()),
        Err(_) if trimmed.is_empty() => None,
        Err(why) => {
            strange.push(format!("StopSignal is ignored, so that `stop` sends TERM: {}", why.escape_default()));
            None
        }
    };
    defaults.set_stop_signal(usable);
}

/// Where a path leads from the root, as `cd` goes: `srv/./x/../y` is `/srv/y`.
fn absolute(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn folders(defaults: &mut Config, strange: &mut Vec<String>) {
    if let Some(folder) = defaults.working_dir().clone() {
        let whole = folder.starts_with('/') && !folder.split('/').any(|part| part == "..");
        if !whole && !folder.is_empty() {
            defaults.set_working_dir(Some(absolute(&folder)));
        }
    }
    let Some(volumes) = defaults.volumes().clone() else { return };
    let usable = volumes.into_iter().filter_map(|target| match absolute(&target).as_str() {
        "/" => {
            strange.push(format!("Volumes `{}` is ignored: the root can't be a volume", target.escape_default()));
            None
        }
        _ if target.contains('\0') => {
            strange.push(format!("Volumes `{}` is ignored: it holds a null byte", target.escape_default()));
            None
        }
        whole => Some(whole.to_owned()),
    });
    let usable = usable.collect();
    defaults.set_volumes(Some(usable));
}

/// `1000:`, `:1000`, and with blanks around it. A user that can't be understood stays, so that the start fails: another
/// user is no substitute.
fn user(defaults: &mut Config, strange: &mut Vec<String>) {
    let Some(text) = defaults.user().clone() else { return };
    let parts: Vec<&str> = text.split(':').map(str::trim).collect();
    let usable = match parts.as_slice() {
        ["" | "0", ""] | [""] => String::new(),
        [user, ""] => (*user).to_owned(),
        ["", group] => format!("0:{group}"),
        parts => parts.join(":"),
    };
    if let Err(why) = UserPlan::parse(&usable) {
        strange.push(format!("User `{}` can't be used, `-u` names another one: {why}", text.escape_default()));
    }
    defaults.set_user(Some(usable));
}

fn environment(defaults: &mut Config, strange: &mut Vec<String>) {
    let Some(all) = defaults.env().clone() else { return };
    let usable = all.into_iter().filter(|variable| {
        let good = variable.find('=').is_some_and(|at| at > 0) && !variable.contains('\0');
        if !good {
            strange.push(format!("Env `{}` is ignored: it is not of the form NAME=VALUE", variable.escape_default()));
        }
        good
    });
    let usable = usable.collect();
    defaults.set_env(Some(usable));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_honoured_is_named_and_the_rest_is_taken() {
        let config: Config = serde_json::from_value(serde_json::json!({
            "User": " 1000: ", "WorkingDir": "srv/./x/../y", "StopSignal": "", "Env": ["A=b", "B", "=c"],
            "ExposedPorts": {"80/TCP": {}, "${PORT}/tcp": {}}, "Volumes": {"data": {}, "/": {}, "/a/../b/": {}},
        }))
        .unwrap();
        let (usable, strange) = usable(config);
        assert_eq!((usable.user().as_deref(), usable.working_dir().as_deref()), (Some("1000"), Some("/srv/y")));
        assert_eq!(usable.stop_signal().as_deref(), None);
        assert_eq!(usable.exposed_ports().clone().unwrap(), ["80/tcp"]);
        assert_eq!(usable.env().clone().unwrap(), ["A=b"]);
        let mut volumes = usable.volumes().clone().unwrap();
        volumes.sort();
        assert_eq!(volumes, ["/b", "/data"]);
        for field in ["ExposedPorts `${PORT}/tcp`", "Volumes `/`", "Env `B`", "Env `=c`"] {
            assert!(strange.iter().any(|line| line.starts_with(field)), "{field}: {strange:?}");
        }
        assert_eq!(strange.len(), 4);
    }
}
