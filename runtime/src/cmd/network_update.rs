//! `network update`.

use crate::cli::network::UpdateArgs;
use crate::cli::value;
use crate::flags::network::subnets;
use crate::flags::text::parse;
use netd_api::{DriverSpec, NetworkChange, NetworkInfo};
use rcr_base::{Error, Kind, Outcome};
use rcr_engine::instance::Instance;
use rcr_engine::networks::{self, Changed};
use std::net::IpAddr;

/// Changes a network, in use or not.
pub fn update(instance: &Instance, args: &UpdateArgs) -> Outcome<i32> {
    let mut change = NetworkChange {
        remove_labels: args.label_rm.clone(),
        add_labels: args
            .label_add
            .iter()
            .map(|text| value::label(text).map_err(|why| Error::new(Kind::Invalid, why)))
            .collect::<Outcome<_>>()?,
        dns: dns(&args.dns)?,
        ..NetworkChange::default()
    };
    for option in &args.opt {
        change.mtu = Some(mtu(option)?);
    }
    let made = |info: &NetworkInfo| {
        let bridge = matches!(info.driver, DriverSpec::Bridge(_) | DriverSpec::Overlay(_));
        change.subnets = subnets(&args.subnets, bridge)?;
        Ok(change)
    };
    match networks::update(instance, &args.network, args.dry_run, made)? {
        Changed::Network(info) => println!("{}", info.name),
        Changed::Plan(text) => print!("{text}"),
    }
    Ok(0)
}

/// `--dns none` takes them away.
fn dns(given: &[String]) -> Outcome<Option<Vec<IpAddr>>> {
    match given {
        [] => Ok(None),
        [none] if none == "none" => Ok(Some(Vec::new())),
        list => list.iter().map(|text| parse("--dns", text)).collect::<Outcome<_>>().map(Some),
    }
}

fn mtu(option: &str) -> Outcome<u32> {
    match option.split_once('=') {
        Some(("mtu" | "com.docker.network.driver.mtu", value)) => {
            let mtu = value.parse::<u32>().ok().filter(|mtu| (68..=65_535).contains(mtu));
            mtu.ok_or_else(|| {
                Error::new(Kind::Invalid, format!("cannot understand `-o {option}`"))
                    .caused_by("an MTU lies between 68 and 65535")
            })
        }
        _ => Err(Error::new(Kind::Invalid, format!("the option `{option}` can't be changed"))
            .caused_by("of a network's options only `mtu` can")
            .hint("create a network with it, `connect` the containers to that one, and `disconnect` them from this")),
    }
}
