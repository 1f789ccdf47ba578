//! One attachment to a network, as `--network` and `network connect` say it. Pure.

use super::value::{Parsed, nearest};
use netd_api::{AttachmentRequest, NameError};

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
    for part in parts(text)? {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not of the form key=value"))?;
        let address = |why: &str| format!("`{value}` is not {why}");
        match key {
            "name" => value.clone_into(&mut request.network),
            "alias" => request.aliases.push(value.to_owned()),
            "ip" => request.ip = Some(value.parse().map_err(|_| address("an IPv4 address"))?),
            "ip6" => request.ip6 = Some(value.parse().map_err(|_| address("an IPv6 address"))?),
            "mac-address" => request.mac = Some(value.parse().map_err(|e: NameError| e.to_string())?),
            "gw-priority" => request.gw_priority = value.parse().map_err(|_| address("a number"))?,
            "interface-name" | "interface" => interface_name(&mut request, value)?,
            "sysctl" => sysctl(&mut request, value)?,
            "driver-opt" => driver_opt(&mut request, value)?,
            _ => return Err(format!("unknown key `{key}`{}", nearest(key, &KEYS))),
        }
    }
    if request.network.is_empty() {
        return Err(format!("`{text}` has no name="));
    }
    Ok(request)
}

/// `a,"b,c",d` → `a`, `b,c`, `d`.
fn parts(text: &str) -> Parsed<Vec<String>> {
    let (mut all, mut quoted) = (vec![String::new()], false);
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(String::new()),
            other => all.last_mut().into_iter().for_each(|part| part.push(other)),
        }
    }
    if quoted { Err(format!("`{text}` lacks a quotation mark")) } else { Ok(all) }
}

/// The interface's name in the container.
pub fn interface_name(request: &mut AttachmentRequest, name: &str) -> Parsed<()> {
    request.ifname = Some(name.parse().map_err(|e: NameError| e.to_string())?);
    Ok(())
}

/// `net.ipv4.conf.IFNAME.log_martians=1`: a sysctl of the interface, where `IFNAME` stands for its name.
pub fn sysctl(request: &mut AttachmentRequest, text: &str) -> Parsed<()> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form name=value"))?;
    let path = key.replace('.', "/");
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["net", _, "conf" | "neigh", "IFNAME", name] if !name.is_empty() => {
            request.sysctls.insert(path, value.to_owned());
            Ok(())
        }
        _ => Err(format!(
            "`{key}` is no sysctl of an interface, such as net.ipv4.conf.IFNAME.log_martians (IFNAME stands for its name)"
        )),
    }
}

/// Docker's options of an attachment.
pub fn driver_opt(request: &mut AttachmentRequest, text: &str) -> Parsed<()> {
    match text.split_once('=') {
        Some((DOCKER_IFNAME, name)) => interface_name(request, name),
        Some((DOCKER_SYSCTLS, list)) => list.split(',').try_for_each(|one| sysctl(request, one)),
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
