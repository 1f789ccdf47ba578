//! Names for `/etc/hosts`.

use super::Parsed;
use crate::config::HostTarget;
use std::net::IpAddr;

/// A line for `/etc/hosts`: `name:address`, `name=address`; the address may be in brackets, or `host-gateway`.
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

/// A container and its name here, `container[:name]`.
pub fn link(text: &str) -> Parsed<(String, String)> {
    let (container, name) = text.split_once(':').unwrap_or((text, text));
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("the name is empty or has spaces".into());
    }
    Ok((container.to_owned(), name.trim_start_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_links() {
        assert_eq!(add_host("h:host-gateway").unwrap().1, HostTarget::HostGateway);
        assert!(add_host("h:[::1]").is_ok() && add_host("h:1::2").is_ok() && add_host("nope").is_err());
        assert_eq!(link("db"), Ok(("db".into(), "db".into())));
        assert_eq!(link("c1:/db"), Ok(("c1".into(), "db".into())));
        assert!(link("c1:").is_err() && link("c1:a b").is_err());
    }
}
