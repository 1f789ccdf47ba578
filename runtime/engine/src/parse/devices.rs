//! Devices, and rules about their numbers.

use super::Parsed;
use crate::config::{DeviceRule, DeviceUse};

fn access(text: &str) -> Option<String> {
    let valid = !text.is_empty() && text.len() <= 3 && text.chars().all(|c| "rwm".contains(c));
    valid.then(|| text.to_owned())
}

/// `host[:container[:rwm]]`, or `host:rwm`.
pub fn device(text: &str) -> Parsed<DeviceUse> {
    if !text.starts_with('/') && text.contains('=') {
        return Err(
            "CDI devices (vendor/class=name) are not supported yet; name the device files by their paths".into()
        );
    }
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
            let device = device(text).unwrap();
            (device.host.display().to_string(), device.container.display().to_string(), device.access)
        };
        let want =
            |host: &str, container: &str, access: &str| (host.to_owned(), container.to_owned(), access.to_owned());
        assert_eq!(parts("/dev/fuse"), want("/dev/fuse", "/dev/fuse", "rwm"));
        assert_eq!(parts("/dev/sda:/dev/xvdc:r"), want("/dev/sda", "/dev/xvdc", "r"));
        assert_eq!(parts("/dev/snd:rw"), want("/dev/snd", "/dev/snd", "rw"));
        assert_eq!(parts("/dev/sda:/dev/xvdc"), want("/dev/sda", "/dev/xvdc", "rwm"));
        for bad in
            ["", "fuse", "/dev/a:/b", "/dev/a:/dev/", "/dev/a:/dev/../etc/x", "/dev/a:/dev/b:x", "vendor.com/class=all"]
        {
            assert!(device(bad).is_err(), "{bad}");
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
