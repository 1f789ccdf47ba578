//! Sizes, processors, and resource limits.

use super::Parsed;
use crate::config::DiskLimit;
use rcr_shim::init::plan::RlimitPlan;

/// Bytes: a number with an optional unit `b k m g t`, as powers of 1024.
pub fn bytes(text: &str) -> Parsed<i64> {
    let refuse = || format!("`{text}` is not a size such as 512m");
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches("ib").trim_end_matches('b');
    let (number, power) = match digits.chars().last() {
        Some(unit @ ('k' | 'm' | 'g' | 't')) => {
            (&digits[..digits.len() - 1], 1 + "kmgt".find(unit).unwrap_or(0) as u32)
        }
        _ => (digits, 0),
    };
    let number: f64 = number.parse().map_err(|_| refuse())?;
    let value = number * 1024f64.powi(power as i32);
    if !value.is_finite() || value < 0.0 || value > i64::MAX as f64 / 2.0 {
        return Err(refuse());
    }
    Ok(value as i64)
}

/// Memory and swap together, in bytes; `-1`: unlimited.
pub fn memory_swap(text: &str) -> Parsed<i64> {
    if text == "-1" { Ok(-1) } else { bytes(text) }
}

/// Processors as a number, `1.5`; in billionths of one.
pub fn nano_cpus(text: &str) -> Parsed<u64> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of processors"))?;
    if !(0.01..=100_000.0).contains(&number) {
        return Err(format!("`{text}` is not between 0.01 and 100000"));
    }
    Ok((number * 1e9).round() as u64)
}

/// A list of processors or memory nodes such as `0-2,4` (cpuset(7), "List format"); an empty one is allowed.
pub fn cpuset(text: &str) -> Parsed<String> {
    let number = |text: &str| text.parse::<u16>().is_ok();
    let part = |part: &str| part.split_once('-').map_or_else(|| number(part), |(a, b)| number(a) && number(b));
    match text.is_empty() || text.split(',').all(part) {
        true => Ok(text.to_owned()),
        false => Err("expected a list such as 0-2,4".into()),
    }
}

/// A disk and a limit in bytes a second, `/dev/sda:1m`.
pub fn disk_bytes(text: &str) -> Parsed<DiskLimit> {
    disk(text, |value| bytes(value).map(|bytes| bytes as u64))
}

/// A disk and a limit in operations a second, `/dev/sda:1000`.
pub fn disk_operations(text: &str) -> Parsed<DiskLimit> {
    disk(text, |value| value.parse().map_err(|_| format!("`{value}` is not a number of operations a second")))
}

/// A disk and its weight, `/dev/sda:100`.
pub fn disk_weight(text: &str) -> Parsed<DiskLimit> {
    disk(text, |value| block_weight(value).map(u64::from))
}

fn disk(text: &str, value: impl FnOnce(&str) -> Parsed<u64>) -> Parsed<DiskLimit> {
    let (disk, limit) = text.rsplit_once(':').ok_or_else(|| format!("`{text}` is not of the form /dev/DISK:LIMIT"))?;
    if !disk.starts_with("/dev/") {
        return Err(format!("`{disk}` is not a path of a device: `/dev/…`"));
    }
    match value(limit)? {
        0 => Err(format!("`{limit}` would stop the disk: leave the option out for no limit")),
        value => Ok(DiskLimit { disk: disk.into(), value }),
    }
}

/// A share of disks' time, 10 to 1000; 0: none of its own.
pub fn block_weight(text: &str) -> Parsed<u16> {
    match text.parse::<u16>() {
        Ok(weight) if weight == 0 || (10..=1000).contains(&weight) => Ok(weight),
        _ => Err(format!("`{text}` is not a weight between 10 and 1000")),
    }
}

/// A share of processor time, 2 to 262144; 0: everybody's.
pub fn cpu_shares(text: &str) -> Parsed<u64> {
    match text.parse::<u64>() {
        Ok(shares) if shares == 0 || (2..=262_144).contains(&shares) => Ok(shares),
        _ => Err(format!("`{text}` is not a share between 2 and 262144")),
    }
}

/// Microseconds, 1000 (a millisecond) to 1000000; 0: the kernel's 100000.
pub fn cpu_period(text: &str) -> Parsed<u64> {
    match text.parse::<u64>() {
        Ok(period) if period == 0 || (1_000..=1_000_000).contains(&period) => Ok(period),
        _ => Err(format!("`{text}` is not a period between 1000 and 1000000 microseconds")),
    }
}

/// Microseconds in each period, 1000 or more; -1 and 0: unlimited.
pub fn cpu_quota(text: &str) -> Parsed<i64> {
    match text.parse::<i64>() {
        Ok(quota) if [-1, 0].contains(&quota) || quota >= 1_000 => Ok(quota),
        _ => Err(format!("`{text}` is not a quota of 1000 microseconds or more, or -1")),
    }
}

/// 0 to 100; -1: the kernel's.
pub fn swappiness(text: &str) -> Parsed<i64> {
    match text.parse::<i64>() {
        Ok(value @ -1..=100) => Ok(value),
        _ => Err(format!("`{text}` is not between 0 and 100")),
    }
}

/// A cgroup, as a path from the root without a slash before it. A slice of systemd's (`a-b.slice`) lies where systemd
/// puts it: `a.slice/a-b.slice` (systemd.slice(5)).
pub fn cgroup_parent(text: &str) -> Parsed<String> {
    let path = text.trim_matches('/');
    let bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(['\n', '\0']);
    if path.split('/').any(bad) {
        return Err(format!("`{text}` is not a path of a cgroup"));
    }
    let Some(name) = path.strip_suffix(".slice").filter(|name| !name.contains('/')) else {
        return Ok(path.to_owned());
    };
    if name.split('-').any(str::is_empty) {
        return Err(format!("`{text}` is not a name of a slice"));
    }
    let ends = name.match_indices('-').map(|(at, _)| at).chain([name.len()]);
    Ok(ends.map(|end| format!("{}.slice", &name[..end])).collect::<Vec<_>>().join("/"))
}

/// A resource limit, `name=soft[:hard]`.
pub fn ulimit(text: &str) -> Parsed<RlimitPlan> {
    let (name, limits) = text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form name=soft[:hard]"))?;
    let resource = RLIMITS.iter().find(|(known, _)| *known == name).map(|(_, resource)| *resource);
    let resource = resource
        .ok_or_else(|| format!("unknown limit `{name}`; known are {}", RLIMITS.map(|(known, _)| known).join(", ")))?;
    let one = |text: &str| match text {
        "unlimited" | "-1" => Ok(libc::RLIM64_INFINITY),
        number => number.parse::<u64>().map_err(|_| format!("`{number}` is not a number")),
    };
    let (soft, hard) = match limits.split_once(':') {
        Some((soft, hard)) => (one(soft)?, one(hard)?),
        None => (one(limits)?, one(limits)?),
    };
    if soft > hard {
        return Err(format!("the soft limit of `{text}` is above the hard one"));
    }
    Ok(RlimitPlan { resource, soft, hard })
}

/// The name of a resource limit, as [`ulimit`] reads it.
pub fn name(resource: u32) -> Option<&'static str> {
    RLIMITS.iter().find(|(_, number)| *number == resource).map(|(name, _)| *name)
}

/// A resource limit as [`ulimit`] reads it.
pub fn text(limit: &RlimitPlan) -> String {
    let name = name(limit.resource).unwrap_or("?");
    let value = |limit: u64| if limit == libc::RLIM64_INFINITY { "unlimited".to_owned() } else { limit.to_string() };
    match limit.soft == limit.hard {
        true => format!("{name}={}", value(limit.hard)),
        false => format!("{name}={}:{}", value(limit.soft), value(limit.hard)),
    }
}

/// Names of resource limits as Docker has them (getrlimit(2)).
const RLIMITS: [(&str, u32); 15] = [
    ("core", libc::RLIMIT_CORE),
    ("cpu", libc::RLIMIT_CPU),
    ("data", libc::RLIMIT_DATA),
    ("fsize", libc::RLIMIT_FSIZE),
    ("locks", libc::RLIMIT_LOCKS),
    ("memlock", libc::RLIMIT_MEMLOCK),
    ("msgqueue", libc::RLIMIT_MSGQUEUE),
    ("nice", libc::RLIMIT_NICE),
    ("nofile", libc::RLIMIT_NOFILE),
    ("nproc", libc::RLIMIT_NPROC),
    ("rss", libc::RLIMIT_RSS),
    ("rtprio", libc::RLIMIT_RTPRIO),
    ("rttime", libc::RLIMIT_RTTIME),
    ("sigpending", libc::RLIMIT_SIGPENDING),
    ("stack", libc::RLIMIT_STACK),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_processors() {
        assert_eq!(bytes("64m"), Ok(64 << 20));
        assert_eq!(bytes("1.5g"), Ok(3 << 29));
        assert_eq!(bytes("1GiB"), Ok(1 << 30));
        assert_eq!(bytes("4096"), Ok(4096));
        for bad in ["", "m", "-1m", "1x", "nan", "1e400"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert_eq!((memory_swap("-1"), memory_swap("1k")), (Ok(-1), Ok(1024)));
        assert_eq!(nano_cpus("1.5"), Ok(1_500_000_000));
        assert!(nano_cpus("0").is_err());
        assert!(cpuset("0-2,4").is_ok() && cpuset("").is_ok());
        assert!(cpuset("0-").is_err() && cpuset("a").is_err() && cpuset("1,,2").is_err());
    }

    #[test]
    fn disks_have_limits_and_cgroups_parents() {
        let limit = |disk: &str, value| Ok(DiskLimit { disk: disk.into(), value });
        assert_eq!(disk_bytes("/dev/sda:1m"), limit("/dev/sda", 1 << 20));
        assert_eq!(disk_operations("/dev/disk/by-path/pci-0000:00:1:7"), limit("/dev/disk/by-path/pci-0000:00:1", 7));
        assert_eq!(disk_weight("/dev/sda:10"), limit("/dev/sda", 10));
        for bad in ["sda:1m", "/dev/sda", "/dev/sda:", "/dev/sda:0", "/tmp/x:1m", "/dev/sda:-1"] {
            assert!(disk_bytes(bad).is_err() && disk_operations(bad).is_err() && disk_weight(bad).is_err(), "{bad}");
        }
        assert_eq!((block_weight("0"), block_weight("500")), (Ok(0), Ok(500)));
        assert!(block_weight("9").is_err() && block_weight("1001").is_err() && disk_weight("/dev/sda:5").is_err());
        assert_eq!((cpu_shares("512"), cpu_period("50000"), cpu_quota("-1")), (Ok(512), Ok(50_000), Ok(-1)));
        assert!(cpu_shares("1").is_err() && cpu_period("10").is_err() && cpu_quota("10").is_err());
        assert_eq!((swappiness("-1"), swappiness("0")), (Ok(-1), Ok(0)));
        assert!(swappiness("101").is_err() && swappiness("-2").is_err());
        for (text, path) in
            [("/a/b/", "a/b"), ("job", "job"), ("user.slice", "user.slice"), ("a-b.slice", "a.slice/a-b.slice")]
        {
            assert_eq!(cgroup_parent(text).as_deref(), Ok(path));
        }
        for bad in ["", "/", "a/../b", "a//b", "./a", "-.slice", "a--b.slice"] {
            assert!(cgroup_parent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ulimits_have_a_soft_and_a_hard_value() {
        assert_eq!(
            ulimit("nofile=1024:2048").unwrap(),
            RlimitPlan { resource: libc::RLIMIT_NOFILE, soft: 1024, hard: 2048 }
        );
        for written in ["nofile=1024:2048", "core=unlimited", "nproc=7"] {
            assert_eq!(text(&ulimit(written).unwrap()), written);
        }
        assert!(ulimit("nofile=2:1").is_err() && ulimit("x=1").is_err());
    }
}
