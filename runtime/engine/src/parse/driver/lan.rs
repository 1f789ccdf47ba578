//! Options of the drivers macvlan and ipvlan.

use super::option::{LARGEST_MTU, Written};
use netd_api::{IfName, IpvlanFlag, IpvlanMode, IpvlanOptions, LanOptions, MacvlanMode, MacvlanOptions};
use rcr_base::Outcome;

/// Options that both drivers have; whether it was one. Docker takes switches without a value, too.
fn common(lan: &mut LanOptions, written: &Written) -> Outcome<bool> {
    match written.key {
        "parent" => lan.parent = Some(written.value.parse::<IfName>().map_err(|e| written.wrong(e.why))?),
        "mtu" | "com.docker.network.driver.mtu" => lan.mtu = Some(written.mtu(LARGEST_MTU)?),
        "host_access" => lan.host_access = written.value.is_empty() || written.boolean()?,
        "probe" => lan.probe = written.value.is_empty() || written.boolean()?,
        _ => return Ok(false),
    }
    Ok(true)
}

pub fn macvlan(options: &[String]) -> Outcome<MacvlanOptions> {
    let mut all = MacvlanOptions::default();
    for option in options {
        let written = Written::new(option, "");
        if common(&mut all.lan, &written)? {
            continue;
        }
        match written.key {
            "mode" | "macvlan_mode" => {
                let modes = [MacvlanMode::Bridge, MacvlanMode::Private, MacvlanMode::Vepa, MacvlanMode::Passthru];
                all.mode = written.one_of(&modes, MacvlanMode::name, "modes")?;
            }
            _ => return Err(written.unknown("macvlan", &["parent", "mode", "mtu", "host_access", "probe"])),
        }
    }
    Ok(all)
}

pub fn ipvlan(options: &[String]) -> Outcome<IpvlanOptions> {
    let mut all = IpvlanOptions::default();
    for option in options {
        let written = Written::new(option, "");
        if common(&mut all.lan, &written)? {
            continue;
        }
        match written.key {
            "mode" | "ipvlan_mode" => {
                let modes = [IpvlanMode::L2, IpvlanMode::L3, IpvlanMode::L3s];
                all.mode = written.one_of(&modes, IpvlanMode::name, "modes")?;
            }
            "flag" | "ipvlan_flag" => {
                let flags = [IpvlanFlag::Bridge, IpvlanFlag::Private, IpvlanFlag::Vepa];
                all.flag = written.one_of(&flags, IpvlanFlag::name, "flags")?;
            }
            _ => return Err(written.unknown("ipvlan", &["parent", "mode", "flag", "mtu", "host_access", "probe"])),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(list: &[&str]) -> Vec<String> {
        list.iter().map(|o| (*o).to_owned()).collect()
    }

    #[test]
    fn our_names_and_dockers_say_the_same() {
        let ours = macvlan(&options(&["parent=eth0.50", "mode=private", "mtu=1400"])).unwrap();
        let docker =
            macvlan(&options(&["parent=eth0.50", "macvlan_mode=private", "com.docker.network.driver.mtu=1400"]));
        assert_eq!(ours, docker.unwrap());
        let ours = ipvlan(&options(&["mode=l3s", "flag=vepa"])).unwrap();
        assert_eq!(ours, ipvlan(&options(&["ipvlan_mode=l3s", "ipvlan_flag=vepa"])).unwrap());
        assert_eq!((ours.mode, ours.flag), (IpvlanMode::L3s, IpvlanFlag::Vepa));
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let text = macvlan(&options(&["mod=bridge"])).unwrap_err().to_string();
        assert!(text.contains("no option `mod`") && text.contains("mode"), "{text}");
        let text = ipvlan(&options(&["mode=l4"])).unwrap_err().to_string();
        assert!(text.contains("l2, l3, l3s"), "{text}");
    }
}
