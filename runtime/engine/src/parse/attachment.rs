//! A container's places on networks.

use super::Parsed;
use super::words::{fields, nearest};
use crate::create::request::Mode;
use netd_api::{AttachmentRequest, IfName, NameError};

const KEYS: [&str; 9] =
    ["name", "alias", "ip", "ip6", "mac-address", "gw-priority", "interface-name", "sysctl", "driver-opt"];
const DOCKER_IFNAME: &str = "com.docker.network.endpoint.ifname";
const DOCKER_SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// One `--network`: a name, or `key=value,…`. A part in double quotes may hold commas, as with Docker.
pub fn network(text: &str) -> Parsed<AttachmentRequest> {
    // A path may hold anything.
    if !text.contains('=') || text.starts_with("ns:") {
        return Ok(AttachmentRequest::to(text));
    }
    let mut request = AttachmentRequest::to("");
    for part in fields(text)? {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not of the form key=value"))?;
        let address = |why: &str| format!("`{value}` is not {why}");
        match key {
            "name" => value.clone_into(&mut request.network),
            "alias" => request.aliases.push(value.to_owned()),
            "ip" => request.ip = Some(value.parse().map_err(|_| address("an IPv4 address"))?),
            "ip6" => request.ip6 = Some(value.parse().map_err(|_| address("an IPv6 address"))?),
            "mac-address" => request.mac = Some(value.parse().map_err(|e: NameError| e.to_string())?),
            "gw-priority" => request.gw_priority = value.parse().map_err(|_| address("a number"))?,
            "interface-name" | "interface" => {
                request.ifname = Some(value.parse().map_err(|e: NameError| e.to_string())?);
            }
            "sysctl" => request.sysctls.extend([sysctl(value)?]),
            "driver-opt" => driver_option(value)?.apply(&mut request),
            _ => return Err(format!("unknown key `{key}`{}", nearest(key, &KEYS))),
        }
    }
    if request.network.is_empty() {
        return Err(format!("`{text}` has no name="));
    }
    Ok(request)
}

/// The network of a container that names none.
pub fn default_network() -> AttachmentRequest {
    AttachmentRequest::to("bridge")
}

/// The network of a container out of all that was named: networks, or `host`, `none`, `container:NAME` or `ns:PATH`
/// alone; the default network where nothing is named.
pub fn mode(mut attachments: Vec<AttachmentRequest>) -> Parsed<Mode> {
    if attachments.is_empty() {
        attachments.push(default_network());
    }
    let Some((at, mode)) = attachments.iter().enumerate().find_map(|(at, a)| Some((at, alone(&a.network)?))) else {
        return Ok(Mode::Networks(attachments));
    };
    let lone = &attachments[at];
    if attachments.len() > 1 {
        return Err(format!("network `{}` can't be combined with other networks", lone.network));
    }
    let own = lone.ip.is_some() || lone.ip6.is_some() || lone.mac.is_some() || !lone.aliases.is_empty();
    match own {
        true => Err(format!("network `{}` takes no addresses and no aliases", lone.network)),
        false => Ok(mode),
    }
}

/// Networks that allow no other beside them.
pub fn alone(name: &str) -> Option<Mode> {
    match name.split_once(':') {
        Some(("container", other)) => Some(Mode::Container(other.to_owned())),
        Some(("ns", path)) => Some(Mode::Path(path.into())),
        None if name == "host" => Some(Mode::Host),
        None if name == "none" => Some(Mode::None),
        _ => None,
    }
}

/// A sysctl of an interface, `net.ipv4.conf.IFNAME.log_martians=1`, where `IFNAME` stands for its name: the path below
/// `/proc/sys`, and the value.
pub fn sysctl(text: &str) -> Parsed<(String, String)> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form name=value"))?;
    let path = key.replace('.', "/");
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["net", _, "conf" | "neigh", "IFNAME", name] if !name.is_empty() => Ok((path, value.to_owned())),
        _ => Err(format!(
            "`{key}` is no sysctl of an interface, such as net.ipv4.conf.IFNAME.log_martians (IFNAME stands for its name)"
        )),
    }
}

/// Docker's options of an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverOption {
    /// The interface's name in the container.
    Interface(IfName),
    /// Sysctls of the interface, as from [`sysctl`].
    Sysctls(Vec<(String, String)>),
}

impl DriverOption {
    /// Puts it into a request.
    pub fn apply(self, request: &mut AttachmentRequest) {
        match self {
            Self::Interface(name) => request.ifname = Some(name),
            Self::Sysctls(list) => request.sysctls.extend(list),
        }
    }
}

/// `com.docker.network.endpoint.ifname=…`, `com.docker.network.endpoint.sysctls=…,…`.
pub fn driver_option(text: &str) -> Parsed<DriverOption> {
    match text.split_once('=') {
        Some((DOCKER_IFNAME, name)) => name.parse().map(DriverOption::Interface).map_err(|e: NameError| e.to_string()),
        Some((DOCKER_SYSCTLS, list)) => list.split(',').map(sysctl).collect::<Parsed<_>>().map(DriverOption::Sysctls),
        Some((other, _)) => {
            Err(format!("unknown option `{other}`{}", nearest(other, &[DOCKER_IFNAME, DOCKER_SYSCTLS])))
        }
        None => Err(format!("`{text}` is not of the form name=value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_short_and_long() {
        assert_eq!(network("blue").unwrap(), AttachmentRequest::to("blue"));
        assert_eq!(network("ns:/a=b").unwrap(), AttachmentRequest::to("ns:/a=b"));
        let long =
            network("name=blue,alias=a,alias=b,ip=10.0.0.2,ip6=fd00::2,mac-address=02:00:00:00:00:01,gw-priority=5")
                .unwrap();
        assert_eq!((long.network.as_str(), long.aliases.len(), long.gw_priority), ("blue", 2, 5));
        assert!(network("name=blue,allias=x").unwrap_err().contains("did you mean `alias`"));
        assert!(network("alias=x").is_err());
        assert!(network("name=b,ip=fd00::1").is_err());
    }

    #[test]
    fn some_networks_stand_alone() {
        let of = |names: &[&str]| mode(names.iter().map(|name| network(name).unwrap()).collect());
        assert_eq!(of(&[]), Ok(Mode::Networks(vec![AttachmentRequest::to("bridge")])));
        assert_eq!(of(&["host"]), Ok(Mode::Host));
        assert_eq!(of(&["container:db"]), Ok(Mode::Container("db".into())));
        assert_eq!(of(&["ns:/run/netns/a=b"]), Ok(Mode::Path("/run/netns/a=b".into())));
        assert!(of(&["blue", "none"]).unwrap_err().contains("can't be combined with other networks"));
        assert!(of(&["name=host,ip=10.0.0.2"]).is_err());
    }

    #[test]
    fn interface_names_and_sysctls_in_our_words_and_dockers() {
        let ours = "name=b,interface-name=lan0,sysctl=net.ipv4.conf.IFNAME.a=1,sysctl=net.ipv6.conf.IFNAME.b=2";
        let theirs = "name=b,driver-opt=com.docker.network.endpoint.ifname=lan0,\
            \"driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.a=1,net.ipv6.conf.IFNAME.b=2\"";
        let ours = network(ours).unwrap();
        assert_eq!(ours, network(theirs).unwrap());
        assert_eq!(ours.sysctls["net/ipv6/conf/IFNAME/b"], "2");
        for bad in [
            "name=b,sysctl=net.ipv4.ip_forward=1",
            "name=b,sysctl=net.ipv4.conf.all.rp_filter=1",
            "name=b,driver-opt=x=y",
            "name=b,interface-name=a/b",
            "name=b,\"alias=x",
        ] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }
}
