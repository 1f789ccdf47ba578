//! Ports: published, exposed, and ranges of them.

use super::Parsed;
use super::words::nearest;
use crate::config::Exposed;
use netd_api::{HostPort, Proto, PublishRequest};
use std::net::IpAddr;

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

/// A port that is offered: `--expose` and an image's `ExposedPorts`.
pub fn exposed(text: &str) -> Parsed<Exposed> {
    let (ports, protocol) = match text.split_once('/') {
        Some((ports, protocol)) => (ports, Some(protocol)),
        None => (text, None),
    };
    let (port, count) = port_range(ports)?;
    Ok(Exposed { port, count, proto: proto(protocol)? })
}

/// Somebody who is to be reached, perhaps on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// A name, an id or an address.
    pub name: String,
    /// The port that is meant.
    pub port: Option<(u16, Proto)>,
}

/// `NAME[:PORT][/PROTO]`; an IPv6 address with a port stands in brackets.
pub fn end(text: &str) -> Parsed<End> {
    let (whole, protocol) = match text.rsplit_once('/') {
        Some((whole, protocol)) => (whole, Some(protocol)),
        None => (text, None),
    };
    let bare = whole.trim_start_matches('[').trim_end_matches(']');
    let (name, number) = match whole.rsplit_once(':') {
        Some((name, number)) if bare.parse::<IpAddr>().is_err() => (name, Some(port(number)?)),
        _ => (whole, None),
    };
    if number.is_none() && protocol.is_some() {
        return Err(format!("`{text}` names a protocol, but no port"));
    }
    let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
    if name.is_empty() {
        return Err(format!("`{text}` has no name"));
    }
    let proto = proto(protocol)?;
    Ok(End { name, port: number.map(|number| (number, proto)) })
}

/// `80` or `80-90`: first and count.
pub fn port_range(text: &str) -> Parsed<(u16, u16)> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    if last < first {
        return Err(format!("the port range `{text}` is backwards"));
    }
    Ok((first, (last - first).saturating_add(1)))
}

/// A port, 1 to 65535.
pub fn port(text: &str) -> Parsed<u16> {
    text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| format!("`{text}` is not a port (1 to 65535)"))
}

/// `tcp`, `udp` or `sctp` in any case; absent: TCP.
pub fn proto(text: Option<&str>) -> Parsed<Proto> {
    match text {
        None => Ok(Proto::Tcp),
        Some(name) if name.eq_ignore_ascii_case("tcp") => Ok(Proto::Tcp),
        Some(name) if name.eq_ignore_ascii_case("udp") => Ok(Proto::Udp),
        Some(name) if name.eq_ignore_ascii_case("sctp") => Ok(Proto::Sctp),
        Some(other) => Err(format!("unknown protocol `{other}`; known are tcp, udp, sctp")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_has_a_name_and_perhaps_a_port() {
        let read = |text: &str| end(text).map(|end| (end.name, end.port));
        let named = |name: &str, port| Ok((name.to_owned(), port));
        assert_eq!(read("web"), named("web", None));
        assert_eq!(read("web:80"), named("web", Some((80, Proto::Tcp))));
        assert_eq!(read("web:53/udp"), named("web", Some((53, Proto::Udp))));
        assert_eq!(read("[2001:db8::1]:80"), named("2001:db8::1", Some((80, Proto::Tcp))));
        assert_eq!(read("2001:db8::1"), named("2001:db8::1", None));
        assert_eq!(read("[::1]"), named("::1", None));
        for bad in ["", ":80", "web:", "web:x", "web:0", "web:65536", "web/udp", "web:80/x"] {
            assert!(end(bad).is_err(), "{bad}");
        }
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
}
