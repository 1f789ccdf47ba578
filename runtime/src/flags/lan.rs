//! `-o` of the drivers macvlan and ipvlan, under our names and Docker's.

use crate::cli::value;
use netd_api::{IfName, IpvlanFlag, IpvlanMode, IpvlanOptions, LanOptions, MacvlanMode, MacvlanOptions};
use rcr_base::{Error, Kind, Outcome};

/// Options that both drivers have; whether it was one.
fn common(lan: &mut LanOptions, option: &str, key: &str, value: &str) -> Outcome<bool> {
    match key {
        "parent" => lan.parent = Some(value.parse::<IfName>().map_err(|e| wrong(option, e.why))?),
        "mtu" | "com.docker.network.driver.mtu" => {
            let mtu = value.parse::<u32>().ok().filter(|mtu| (68..=65_535).contains(mtu));
            lan.mtu = Some(mtu.ok_or_else(|| wrong(option, "an MTU lies between 68 and 65535"))?);
        }
        "host_access" => lan.host_access = yes(option, value)?,
        "probe" => lan.probe = yes(option, value)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn yes(option: &str, value: &str) -> Outcome<bool> {
    match value {
        "true" | "1" | "" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(wrong(option, "neither true nor false")),
    }
}

fn wrong(option: &str, why: &str) -> Error {
    Error::new(Kind::Invalid, format!("cannot understand `-o {option}`")).caused_by(why.to_owned())
}

fn unknown(driver: &str, key: &str, known: &[&str]) -> Error {
    Error::new(Kind::Invalid, format!("the {driver} driver has no option `{key}`{}", value::nearest(key, known)))
        .hint(format!("its options are {}", known.join(", ")))
}

/// `-d macvlan`.
pub fn macvlan(options: &[String]) -> Outcome<MacvlanOptions> {
    let mut all = MacvlanOptions::default();
    for option in options {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        if common(&mut all.lan, option, key, value)? {
            continue;
        }
        match key {
            "mode" | "macvlan_mode" => {
                let modes = [MacvlanMode::Bridge, MacvlanMode::Private, MacvlanMode::Vepa, MacvlanMode::Passthru];
                let mode = modes.into_iter().find(|mode| mode.name() == value);
                all.mode = mode.ok_or_else(|| wrong(option, "known modes are bridge, private, vepa, passthru"))?;
            }
            _ => return Err(unknown("macvlan", key, &["parent", "mode", "mtu", "host_access", "probe"])),
        }
    }
    Ok(all)
}

/// `-d ipvlan`.
pub fn ipvlan(options: &[String]) -> Outcome<IpvlanOptions> {
    let mut all = IpvlanOptions::default();
    for option in options {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        if common(&mut all.lan, option, key, value)? {
            continue;
        }
        match key {
            "mode" | "ipvlan_mode" => {
                let modes = [IpvlanMode::L2, IpvlanMode::L3, IpvlanMode::L3s];
                let mode = modes.into_iter().find(|mode| mode.name() == value);
                all.mode = mode.ok_or_else(|| wrong(option, "known modes are l2, l3, l3s"))?;
            }
            "flag" | "ipvlan_flag" => {
                let flags = [IpvlanFlag::Bridge, IpvlanFlag::Private, IpvlanFlag::Vepa];
                let flag = flags.into_iter().find(|flag| flag.name() == value);
                all.flag = flag.ok_or_else(|| wrong(option, "known flags are bridge, private, vepa"))?;
            }
            _ => return Err(unknown("ipvlan", key, &["parent", "mode", "flag", "mtu", "host_access", "probe"])),
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
