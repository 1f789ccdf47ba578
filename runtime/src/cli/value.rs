//! Values of flags: text to types. Pure; each error says what was expected.

use netd_api::{HostPort, PublishRequest};
use rcr_engine::config::HostTarget;
pub use rcr_engine::words::{exposed, nearest, signal};
use rcr_engine::words::{port_range, proto};
use rcr_shim::init::plan::RlimitPlan;
use std::net::IpAddr;

/// What was wrong, for the line below `cannot understand …`.
pub type Parsed<T> = Result<T, String>;

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

/// `--cpus`: billionths of a processor.
pub fn nano_cpus(text: &str) -> Parsed<u64> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of processors"))?;
    if !(0.01..=100_000.0).contains(&number) {
        return Err(format!("`{text}` is not between 0.01 and 100000"));
    }
    Ok((number * 1e9).round() as u64)
}

/// `--ulimit name=soft[:hard]`.
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

/// Names of ulimits as Docker has them (getrlimit(2)).
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

/// `name:address`, `name=address`; the address may be in brackets, or `host-gateway`.
pub fn add_host(text: &str) -> Parsed<(String, HostTarget)> {
    let refuse = || format!("`{text}` is not of the form name:address");
    let (name, address) = text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(refuse)?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(refuse());
    }
    if address == "host-gateway" {
        return Ok((name.to_owned(), HostTarget::HostGateway));
    }
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    let address = bare.parse::<IpAddr>().map_err(|_| format!("`{address}` is not an address"))?;
    Ok((name.to_owned(), HostTarget::Address(address)))
}

/// `target=80,published=8080,protocol=tcp`: the long form, brought into the short one.
fn publish_long(text: &str) -> Parsed<PublishRequest> {
    let (mut target, mut published, mut protocol, mut host_ip) = (None, "", "tcp", "");
    for part in text.split(',') {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not of the form key=value"))?;
        match key {
            "target" => target = Some(value),
            "published" => published = value,
            "protocol" => protocol = value,
            // Docker says this of swarm's services; a container's ports are always the host's.
            "mode" if ["host", "ingress"].contains(&value) => {}
            "host_ip" | "host-ip" => host_ip = value,
            _ => {
                return Err(format!(
                    "unknown part `{part}`{}",
                    nearest(key, &["target", "published", "protocol", "host_ip"])
                ));
            }
        }
    }
    let target = target.ok_or_else(|| format!("`{text}` has no target="))?;
    let host_ip = if host_ip.contains(':') { format!("[{host_ip}]") } else { host_ip.to_owned() };
    let head = if host_ip.is_empty() { String::new() } else { format!("{host_ip}:") };
    let head = if published.is_empty() && host_ip.is_empty() { head } else { format!("{head}{published}:") };
    publish(&format!("{head}{target}/{protocol}"))
}

/// `[ip:][host][-range]:container[-range][/proto]`.
pub fn publish(text: &str) -> Parsed<PublishRequest> {
    if text.contains("target=") || text.contains("published=") {
        return publish_long(text);
    }
    let (ports, protocol) = match text.rsplit_once('/') {
        Some((ports, protocol)) => (ports, Some(protocol)),
        None => (text, None),
    };
    let proto = proto(protocol)?;
    let (host, container) = match ports.rsplit_once(':') {
        Some((host, container)) => (Some(host), container),
        None => (None, ports),
    };
    let (container_port, count) = port_range(container)?;
    let (host_ip, host_port) = match host {
        None => (None, ""),
        // A bare port, or `ip:port`, where an IPv6 address stands in brackets.
        Some(host) => match host.rsplit_once(':') {
            None => match host.parse::<IpAddr>() {
                Ok(ip) => (Some(ip), ""),
                Err(_) => (None, host),
            },
            Some((ip, host_port)) if !host.ends_with(']') => (Some(host_address(ip)?), host_port),
            Some(_) => (Some(host_address(host)?), ""),
        },
    };
    let host_port = host_ports(host_port, count, text)?;
    Ok(PublishRequest { host_ip, host_port, container_port, count, proto })
}

fn host_address(text: &str) -> Parsed<IpAddr> {
    let bare = match (text.strip_prefix('['), text.strip_suffix(']')) {
        (Some(_), Some(_)) => &text[1..text.len() - 1],
        (None, None) => text,
        _ => return Err(format!("`{text}` lacks a bracket")),
    };
    bare.parse().map_err(|_| format!("`{bare}` is not an address"))
}

fn host_ports(text: &str, count: u16, whole: &str) -> Parsed<HostPort> {
    if text.is_empty() || text == "0" {
        return Ok(HostPort::Ephemeral);
    }
    let (first, host_count) = port_range(text)?;
    match (host_count, count) {
        (a, b) if a == b => Ok(HostPort::Exact(first)),
        (_, 1) => Ok(HostPort::AnyOf(first, first + (host_count - 1))),
        (a, b) => Err(format!("`{whole}` has {a} ports on the host for {b} in the container")),
    }
}

/// `key=value`, or `key` with an empty value.
pub fn label(text: &str) -> Parsed<(String, String)> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err(format!("label `{text}` has no key"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// Keys that detach: `ctrl-p,ctrl-q` as the bytes they send.
pub fn detach_keys(text: &str) -> Parsed<Vec<u8>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let one = |key: &str| match key.strip_prefix("ctrl-").map(str::as_bytes) {
        Some([letter @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => {
            Ok(letter.to_ascii_uppercase() ^ 0x40)
        }
        None if key.len() == 1 => Ok(key.as_bytes()[0]),
        _ => Err(format!("`{key}` is not a key such as ctrl-p")),
    };
    text.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use netd_api::Proto;

    #[test]
    fn sizes_and_processors() {
        assert_eq!(bytes("64m"), Ok(64 << 20));
        assert_eq!(bytes("1.5g"), Ok(3 << 29));
        assert_eq!(bytes("1GiB"), Ok(1 << 30));
        assert_eq!(bytes("4096"), Ok(4096));
        for bad in ["", "m", "-1m", "1x", "nan", "1e400"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(nano_cpus("1.5"), Ok(1_500_000_000));
        assert!(nano_cpus("0").is_err());
    }

    #[test]
    fn ports_in_every_form() {
        let p = |text| publish(text).unwrap();
        assert_eq!(p("80").host_port, HostPort::Ephemeral);
        assert_eq!((p("5000:80").host_port, p("5000:80").container_port), (HostPort::Exact(5000), 80));
        assert_eq!(p("127.0.0.1:5000:80/udp").host_ip, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(p("127.0.0.1::80").host_port, HostPort::Ephemeral);
        assert_eq!(
            (p("[::1]:53:53/udp").host_ip, p("[::1]:53:53/udp").proto),
            (Some("::1".parse().unwrap()), Proto::Udp)
        );
        assert_eq!(p("[::1]::53").host_port, HostPort::Ephemeral);
        assert_eq!(p("8000-8010:80").host_port, HostPort::AnyOf(8000, 8010));
        assert_eq!((p("7000-7009:8000-8009").host_port, p("7000-7009:8000-8009").count), (HostPort::Exact(7000), 10));
        assert_eq!(p("7000-7009").count, 10);
        assert_eq!(p("1-65535:1-65535").count, 65535);
        assert_eq!(p("target=80,published=8080,protocol=udp,mode=host"), p("8080:80/udp"));
        assert_eq!(p("target=80"), p("80"));
        assert_eq!(p("published=80,target=8080,host_ip=::1"), p("[::1]:80:8080"));
        assert_eq!(p("80:80/TCP"), p("80:80"));
        assert!(publish("published=80").is_err() && publish("target=80,port=1").is_err());
        for bad in
            ["", "0", "70000", "80:", "a:80", "80/xyz", "1-2:1-3", "5-4:5-4", "[::1:80:80", "1.2.3:80:80", "::80:80"]
        {
            assert!(publish(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn small_values() {
        assert_eq!((signal("TERM"), signal("sigkill"), signal("9"), signal("RTMIN+3")), (Ok(15), Ok(9), Ok(9), Ok(37)));
        assert_eq!(
            (signal("SIGRTMIN"), signal("RTMAX-2"), signal("RTMAX"), signal("SIGPOLL")),
            (Ok(34), Ok(62), Ok(64), Ok(29))
        );
        for bad in ["0", "SIGFOO", "65", "RTMIN-1", "RTMAX+1", "RTMIN+31", "RTMAX-31", "RTMIN+"] {
            assert!(signal(bad).is_err(), "{bad}");
        }
        assert_eq!(
            ulimit("nofile=1024:2048").unwrap(),
            RlimitPlan { resource: libc::RLIMIT_NOFILE, soft: 1024, hard: 2048 }
        );
        assert!(ulimit("nofile=2:1").is_err() && ulimit("x=1").is_err());
        assert_eq!(detach_keys("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(add_host("h:host-gateway").unwrap().1, HostTarget::HostGateway);
        assert!(add_host("h:[::1]").is_ok() && add_host("h:1::2").is_ok() && add_host("nope").is_err());
    }
}
