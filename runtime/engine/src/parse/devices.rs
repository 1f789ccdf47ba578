//! Devices, and rules about their numbers.

use super::Parsed;
use super::words::fields;
use crate::config::{DeviceRule, DeviceUse};

fn access(text: &str) -> Option<String> {
    let valid = !text.is_empty() && text.len() <= 3 && text.chars().all(|c| "rwm".contains(c));
    valid.then(|| text.to_owned())
}

/// A device by its path, or by its vendor's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceText {
    /// By its path on the host.
    Path(DeviceUse),
    /// `vendor.com/class=name`.
    Named(String),
}

/// `host[:container[:rwm]]`, `host:rwm`, or `vendor.com/class=name`.
pub fn device(text: &str) -> Parsed<DeviceText> {
    match !text.starts_with('/') && text.contains('=') {
        true => named(text).map(DeviceText::Named),
        false => by_path(text).map(DeviceText::Path),
    }
}

fn named(text: &str) -> Parsed<String> {
    let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
    let (kind, name) = text.split_once('=').unwrap_or((text, ""));
    match kind.split_once('/').is_some_and(|(vendor, class)| word(vendor) && word(class)) && word(name) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is not of the form vendor.com/class=name")),
    }
}

/// GPUs as Docker has them: `all`, a number, or `device=0,1`; each by its name in the vendor's spec. A part in double
/// quotes may hold commas.
pub fn gpus(text: &str) -> Parsed<Vec<String>> {
    let of = |name: &str| named(&format!("nvidia.com/gpu={name}"));
    let (mut names, mut driver) = (Vec::new(), "nvidia".to_owned());
    let mut list = false;
    for part in fields(text)? {
        match part.split_once('=') {
            None if part == "all" => names.push(of("all")?),
            None if list => names.push(of(&part)?),
            None => {
                let count: u16 = part.parse().map_err(|_| format!("`{part}` is neither `all` nor a number of GPUs"))?;
                names.extend((0..count).map(|n| of(&n.to_string())).collect::<Parsed<Vec<_>>>()?);
            }
            Some(("count", "all" | "-1")) => names.push(of("all")?),
            Some(("count", count)) => names.extend(gpus(count)?),
            Some(("device", devices)) => {
                list = true;
                names.extend(devices.split(',').map(of).collect::<Parsed<Vec<_>>>()?);
                continue;
            }
            Some(("driver", name)) => name.clone_into(&mut driver),
            Some(("capabilities" | "options", _)) => {}
            Some((key, _)) => {
                return Err(format!("unknown key `{key}`; known are count, device, driver, capabilities"));
            }
        }
        list = list && !part.contains('=');
    }
    match (driver.as_str(), names.is_empty()) {
        ("nvidia" | "cdi", false) => Ok(names),
        ("nvidia" | "cdi", true) => Err(format!("`{text}` names no GPU; `all`, a number, or `device=0,1` does")),
        (other, _) => Err(format!("`--gpus` is about NVIDIA's; `--device VENDOR/CLASS=NAME` gives one of `{other}`")),
    }
}

/// `host[:container[:rwm]]`, or `host:rwm`.
fn by_path(text: &str) -> Parsed<DeviceUse> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, rights) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, rights] if access(rights).is_some() => (*host, *host, *rights),
        [host, container] => (*host, *container, "rwm"),
        [host, container, rights] => (*host, *container, *rights),
        _ => return Err(format!("`{text}` is not of the form host[:container[:rwm]]")),
    };
    if !host.starts_with('/') {
        return Err(format!("`{host}` is not an absolute path of a device"));
    }
    let inside = container.strip_prefix("/dev/").unwrap_or_default();
    if inside.is_empty() || inside.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(format!("`{container}` is not a path below `/dev`: device files work nowhere else"));
    }
    let access = access(rights).ok_or_else(|| format!("`{rights}` is not a selection of r, w and m"))?;
    Ok(DeviceUse { host: host.into(), container: container.into(), access })
}

/// `c 10:200 rwm`, with `*` for any number (Documentation/admin-guide/cgroup-v1/devices.rst).
pub fn device_rule(text: &str) -> Parsed<DeviceRule> {
    let refuse = || format!("`{text}` is not of the form `c 10:200 rwm`");
    let mut words = text.split_whitespace();
    let (Some(kind), Some(numbers), Some(rights), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(refuse());
    };
    let kind = ['a', 'b', 'c'].into_iter().find(|known| kind == known.to_string()).ok_or_else(refuse)?;
    let number = |text: &str| match text {
        "*" => Ok(None),
        digits => digits.parse::<u32>().map(Some).map_err(|_| refuse()),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(refuse)?;
    Ok(DeviceRule { kind, major: number(major)?, minor: number(minor)?, access: access(rights).ok_or_else(refuse)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_in_every_form() {
        let parts = |text: &str| {
            let device = by_path(text).unwrap();
            (device.host.display().to_string(), device.container.display().to_string(), device.access)
        };
        let want =
            |host: &str, container: &str, access: &str| (host.to_owned(), container.to_owned(), access.to_owned());
        assert_eq!(parts("/dev/fuse"), want("/dev/fuse", "/dev/fuse", "rwm"));
        assert_eq!(parts("/dev/sda:/dev/xvdc:r"), want("/dev/sda", "/dev/xvdc", "r"));
        assert_eq!(parts("/dev/snd:rw"), want("/dev/snd", "/dev/snd", "rw"));
        assert_eq!(parts("/dev/sda:/dev/xvdc"), want("/dev/sda", "/dev/xvdc", "rwm"));
        for bad in [
            "",
            "fuse",
            "/dev/a:/b",
            "/dev/a:/dev/",
            "/dev/a:/dev/../etc/x",
            "/dev/a:/dev/b:x",
            "vendor.com=all",
            "a/b=",
        ] {
            assert!(device(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn devices_have_names_and_gpus_are_some() {
        assert_eq!(device("vendor.com/net=nic0"), Ok(DeviceText::Named("vendor.com/net=nic0".into())));
        let names = |text: &str| gpus(text).map(|all| all.join(" ").replace("nvidia.com/gpu=", ""));
        assert_eq!((names("all"), names("2")), (Ok("all".into()), Ok("0 1".into())));
        assert_eq!(names("device=0"), Ok("0".into()));
        assert_eq!(names("\"device=0,GPU-3a23c669\",capabilities=utility"), Ok("0 GPU-3a23c669".into()));
        assert_eq!(names("count=2,\"capabilities=compute,utility\",driver=nvidia"), Ok("0 1".into()));
        for bad in ["", "some", "device=", "driver=amd,count=1", "cout=1", "0"] {
            assert!(gpus(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rules_in_every_form() {
        let rule = device_rule("c 189:* rmw").unwrap();
        assert_eq!((rule.kind, rule.major, rule.minor, rule.access.as_str()), ('c', Some(189), None, "rmw"));
        assert_eq!(device_rule("a *:* rwm").unwrap().major, None);
        for bad in ["", "c", "c 1:2", "x 1:2 r", "c 1 r", "c 1:2 rx", "c 1:2 r r", "c -1:2 r"] {
            assert!(device_rule(bad).is_err(), "{bad}");
        }
    }
}
