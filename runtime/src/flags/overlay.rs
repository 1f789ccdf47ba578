//! `-o` of overlay networks, under our names and Docker's.

use crate::cli::value;
use netd_api::{OverlayOptions, Vni};
use rcr_base::{Error, Kind, Outcome};

/// Bytes that an overlay's link may carry: less than 68 is no IPv4 (RFC 791).
const MTU: std::ops::RangeInclusive<u32> = 68..=65_485;

/// Parses them.
pub fn overlay(options: &[String]) -> Outcome<OverlayOptions> {
    let mut all = OverlayOptions::default();
    for option in options {
        let (key, value) = option.split_once('=').unwrap_or((option, "true"));
        let wrong =
            |why: &str| Error::new(Kind::Invalid, format!("cannot understand `-o {option}`")).caused_by(why.to_owned());
        match key {
            "vni" | "com.docker.network.driver.overlay.vxlanid_list" => {
                all.vni = Some(value.parse::<Vni>().map_err(|why| wrong(&why))?);
            }
            "vxlan_port" => {
                let port = value.parse::<u16>().ok().filter(|port| *port > 0);
                all.port = port.ok_or_else(|| wrong("a port lies between 1 and 65535"))?;
            }
            "mtu" | "com.docker.network.driver.mtu" => {
                let mtu = value.parse::<u32>().ok().filter(|mtu| MTU.contains(mtu));
                all.bridge.mtu = Some(mtu.ok_or_else(|| wrong("an MTU lies between 68 and 65485"))?);
            }
            "host_access" | "encrypted" => {
                let on = match value {
                    // Docker takes the option without a value, too.
                    "true" | "1" | "" => true,
                    "false" | "0" => false,
                    _ => return Err(wrong("neither true nor false")),
                };
                if key == "encrypted" {
                    all.encrypted = on;
                } else {
                    all.bridge.host_access = on;
                }
            }
            _ => {
                let known = ["vni", "vxlan_port", "mtu", "host_access", "encrypted"];
                let near = value::nearest(key, &known);
                return Err(Error::new(Kind::Invalid, format!("the overlay driver has no option `{key}`{near}")));
            }
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
