//! Options of the overlay driver.

use super::option::Written;
use netd_api::{OverlayOptions, Vni};
use rcr_base::Outcome;

/// Bytes that an overlay's link carries at most: VXLAN's headers come on top.
const LARGEST_MTU: u32 = 65_485;

pub fn overlay(options: &[String]) -> Outcome<OverlayOptions> {
    let mut all = OverlayOptions::default();
    for option in options {
        let written = Written::new(option, "true");
        match written.key {
            "vni" | "com.docker.network.driver.overlay.vxlanid_list" => {
                all.vni = Some(written.value.parse::<Vni>().map_err(|why| written.wrong(why))?);
            }
            "vxlan_port" => {
                let port = written.value.parse::<u16>().ok().filter(|port| *port > 0);
                all.port = port.ok_or_else(|| written.wrong("a port must be between 1 and 65535"))?;
            }
            "mtu" | "com.docker.network.driver.mtu" => all.bridge.mtu = Some(written.mtu(LARGEST_MTU)?),
            // Docker takes these with an empty value, too.
            "host_access" => all.bridge.host_access = written.value.is_empty() || written.boolean()?,
            "encrypted" => all.encrypted = written.value.is_empty() || written.boolean()?,
            _ => return Err(written.unknown("overlay", &["vni", "vxlan_port", "mtu", "host_access", "encrypted"])),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &[&str]) -> Outcome<OverlayOptions> {
        overlay(&list.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn our_names_and_dockers_say_the_same() {
        for on in ["encrypted", "encrypted=true", "encrypted=1", "encrypted="] {
            assert!(parse(&[on]).unwrap().encrypted, "{on}");
        }
        assert!(!parse(&["encrypted=false"]).unwrap().encrypted);
        let ours = parse(&["vni=4097", "mtu=1400", "vxlan_port=4790"]).unwrap();
        let dockers = [
            "com.docker.network.driver.overlay.vxlanid_list=4097",
            "com.docker.network.driver.mtu=1400",
            "vxlan_port=4790",
        ];
        assert_eq!(ours, parse(&dockers).unwrap());
        for bad in ["vni=0", "vni=16777216", "mtu=10", "vxlan_port=0", "vxlan_prt=1", "encrypted=yes", "host_access=x"]
        {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
    }
}
