//! Who has which address. Pure.

use crate::parse::packets::{Filter, Who};
use netd_api::NamedAddress;
use rcr_base::{Error, Kind, Outcome};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Names for addresses.
pub struct Names {
    of: BTreeMap<IpAddr, String>,
    /// Addresses are shown as they are.
    numeric: bool,
}

impl Names {
    /// Of what netd knows. `numeric`: filters know the names, texts don't have them.
    pub fn new(all: Vec<NamedAddress>, numeric: bool) -> Self {
        Self { of: all.into_iter().map(|one| (one.address, one.name)).collect(), numeric }
    }

    /// The name that an address is shown by.
    pub fn of(&self, address: IpAddr) -> Option<&str> {
        self.of.get(&address).filter(|_| !self.numeric).map(String::as_str)
    }

    /// An address with its name, if it has one.
    pub fn whole(&self, address: IpAddr) -> String {
        self.of(address).map_or_else(|| address.to_string(), |name| format!("{name} ({address})"))
    }

    /// Puts addresses where names are. A name that nobody has is an error.
    pub fn resolve(&self, filter: &mut Filter) -> Outcome<()> {
        match filter {
            Filter::All(all) | Filter::Any(all) => all.iter_mut().try_for_each(|one| self.resolve(one)),
            Filter::Not(one) => self.resolve(one),
            Filter::Host(_, who) => {
                if let Who::Name(name) = who {
                    let mine = self.of.iter().filter(|(_, other)| *other == name).map(|(address, _)| *address);
                    let addresses: Vec<IpAddr> = mine.collect();
                    if addresses.is_empty() {
                        return Err(Error::new(Kind::NotFound, format!("nobody is called `{name}`")).hint(
                            "a filter takes names of containers that run, `host`, `gateway`, `resolver`, and addresses",
                        ));
                    }
                    *who = Who::Addresses(addresses);
                }
                Ok(())
            }
            Filter::Protocol(_) | Filter::Net(..) | Filter::Port(..) => Ok(()),
        }
    }
}
