//! The host's firewall tables in the kernel: one long-lived nfnetlink socket writes them.
//!
//! A table is owned by that socket and persists beyond it where the kernel can (flags `NFT_TABLE_F_OWNER`, since 5.12, and
//! `NFT_TABLE_F_PERSIST`, since 6.9): a foreign `flush ruleset` passes it by, netd's death leaves it, the next netd takes it over.
//! Never owned without persisting: the table would vanish with the socket. Where the kernel can't, the table is plain, and is
//! written again when somebody deletes it (see `watch`).

use super::netlink::{Attributes, Netlink, parse_ack};
use super::nft_encode::{Batch, DELTABLE, GETRULE, GETTABLE, Sealed};
use super::nft_names::{NFTA_CHAIN_TABLE, NFTA_TABLE_NAME};
use super::{KernelError, gone_is_fine};
use netd_api::IfName;
use netd_core::firewall::{Chain, Element, Set, Table, changes, flow_links, host_table, needed, user_table};
use nix::errno::Errno;
use std::collections::BTreeSet;

const OWNED: u32 = 0x2 | 0x4;
const INET: u8 = 1;

/// How the host's table is protected from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Owned by netd, persisting beyond it.
    Owned,
    /// Nothing but netd's watch.
    Plain,
}

/// The writer of the host's tables, with what they should hold.
pub struct Nft {
    socket: Netlink,
    protection: Option<Protection>,
    /// Whether `inet rcr` should be there.
    wanted: bool,
    live: BTreeSet<Element>,
    /// The sets that had elements when the chains were last written, and the chains: those that these need.
    sets: BTreeSet<Set>,
    chains: Vec<Chain>,
    /// Whether the administrator has rules, which may look at connections' states.
    states: bool,
    /// Whether the kernel has flow tables, once that was asked.
    flow_tables: Option<bool>,
    /// Never own tables: for kernels that say they can but where it is not wanted, and for tests of the fall-back.
    plain_only: bool,
}

impl Nft {
    /// Opens the socket. Nothing is written yet.
    pub fn open(plain_only: bool) -> Result<Self, KernelError> {
        let socket = Netlink::netfilter()?;
        let (live, sets, chains) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        let (states, flow_tables) = (false, None);
        Ok(Self { socket, protection: None, wanted: false, live, sets, chains, states, flow_tables, plain_only })
    }

    /// The port of the writing socket: changes that it makes are not foreign.
    pub fn port(&self) -> u32 {
        self.socket.port()
    }

    /// The socket itself, for questions about others' tables.
    pub fn socket(&mut self) -> &mut Netlink {
        &mut self.socket
    }

    /// How the table is protected, once it was written.
    pub fn protection(&self) -> Option<Protection> {
        self.protection
    }

    /// Whether the table should be there.
    pub fn wanted(&self) -> bool {
        self.wanted
    }

    /// Writes `inet rcr` whole, with these elements, in one transaction: packets see the old or the new, never a part.
    pub fn write(&mut self, elements: BTreeSet<Element>) -> Result<(), KernelError> {
        self.live = elements;
        self.wanted = true;
        self.states = has_rules(&mut self.socket, &user_table())?;
        self.sets = self.served(used(&self.live))?;
        self.chains = needed(&self.sets, self.states);
        let owned = [(OWNED, OWNED, Protection::Owned), (0, OWNED, Protection::Owned)];
        let plain = [(0, 0, Protection::Plain), (OWNED, 0, Protection::Plain)];
        let order = if self.plain_only { [plain, owned] } else { [owned, plain] };
        let mut last = None;
        // What is there now may be plain or owned-and-persisting; the kernel refuses to change one into the other.
        for (there, flags, protection) in order.into_iter().flatten() {
            match self.write_as(there, flags) {
                Ok(()) => {
                    self.protection = Some(protection);
                    return Ok(());
                }
                Err(error) if matches!(error.errno(), Some(Errno::EOPNOTSUPP | Errno::EINVAL)) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or(KernelError::Netlink { errno: Errno::EOPNOTSUPP, message: None }))
    }

    fn write_as(&mut self, there: u32, flags: u32) -> Result<(), KernelError> {
        let table = Table { chains: self.chains.clone(), ..host_table() };
        let mut batch = Batch::new(self.socket.next_seq());
        batch.new_table(table.family, table.name, there);
        batch.delete_table(table.family, table.name);
        batch.new_table(table.family, table.name, flags);
        batch.sets(&table);
        if self.sets.contains(&Set::Flows) {
            batch.flow_table(&table, &there_of(flow_links(&self.live)));
        }
        batch.chains(&table, &table.chains);
        batch.add_elements(self.live.iter());
        commit(&mut self.socket, batch.finish())
    }

    /// Writes what should be there once more.
    pub fn restore(&mut self) -> Result<(), KernelError> {
        let elements = std::mem::take(&mut self.live);
        self.write(elements)
    }

    /// Deletes `inet rcr`; one that isn't there is deleted.
    pub fn delete(&mut self) -> Result<(), KernelError> {
        self.wanted = false;
        self.live.clear();
        self.sets.clear();
        self.chains.clear();
        let table = host_table();
        // A table that persists without an owner can only be deleted by who takes it over first.
        for flags in [OWNED, 0] {
            if !table_exists(&mut self.socket, &table)? {
                return Ok(());
            }
            let mut batch = Batch::new(self.socket.next_seq());
            batch.new_table(table.family, table.name, flags);
            batch.delete_table(table.family, table.name);
            match commit(&mut self.socket, batch.finish()) {
                Err(error) if matches!(error.errno(), Some(Errno::EOPNOTSUPP | Errno::EINVAL)) => {}
                other => return other,
            }
        }
        delete_table(&mut self.socket, &table)
    }

    /// Whether `inet rcr` is there.
    pub fn exists(&mut self) -> Result<bool, KernelError> {
        table_exists(&mut self.socket, &host_table())
    }

    /// Adds elements, with the chains that they need. If the table is gone, it is written again with them.
    pub fn add(&mut self, elements: &[Element]) -> Result<(), KernelError> {
        let mut sets = used(&self.live);
        sets.extend(elements.iter().map(|element| element.set));
        let links = there_of(flow_links(elements));
        let done = self.change(sets, &links, |batch| batch.add_elements(elements.iter()));
        let gone = self.wanted && done.as_ref().is_err_and(KernelError::is_gone);
        if gone {
            let mut all = std::mem::take(&mut self.live);
            all.extend(elements.iter().cloned());
            return self.write(all);
        }
        done?;
        self.live.extend(elements.iter().cloned());
        Ok(())
    }

    /// Deletes elements, and the chains that nothing needs without them; what isn't there is deleted.
    pub fn remove(&mut self, elements: &[Element]) -> Result<(), KernelError> {
        for element in elements {
            self.live.remove(element);
        }
        match self.change(used(&self.live), &[], |batch| batch.delete_elements(elements.iter())) {
            Err(error) if error.is_gone() => {
                elements.iter().try_for_each(|one| self.remove_one(one))?;
                // Where somebody deleted a chain, the whole table is written again when that is heard of.
                gone_is_fine(self.change(used(&self.live), &[], |_| {}))
            }
            done => done,
        }
    }

    fn remove_one(&mut self, element: &Element) -> Result<(), KernelError> {
        let mut batch = Batch::new(self.socket.next_seq());
        batch.delete_elements(std::iter::once(element));
        gone_is_fine(commit(&mut self.socket, batch.finish()))
    }

    /// Looks whether the administrator has rules, since these may ask for connections' states: then all is tracked.
    pub fn follow_user_rules(&mut self) -> Result<(), KernelError> {
        let states = self.wanted && has_rules(&mut self.socket, &user_table())?;
        if states == self.states {
            return Ok(());
        }
        self.states = states;
        // None of the chains is what it was for.
        let sets = std::mem::take(&mut self.sets);
        gone_is_fine(self.change(sets, &[], |_| {}))
    }

    /// Whether the administrator had rules when it was last looked at.
    pub fn has_user_rules(&self) -> bool {
        self.states
    }

    /// These sets, but for what this kernel has not: a network that another kernel made works without a flow table, and
    /// its elements say that it wants one.
    fn served(&mut self, mut sets: BTreeSet<Set>) -> Result<BTreeSet<Set>, KernelError> {
        if sets.contains(&Set::Flows) && !self.has_flow_tables()? {
            sets.remove(&Set::Flows);
        }
        Ok(sets)
    }

    /// Whether the kernel has flow tables. Asked once, when somebody wants one: it makes one in a table of its own and
    /// deletes both, in one transaction.
    pub fn has_flow_tables(&mut self) -> Result<bool, KernelError> {
        if let Some(known) = self.flow_tables {
            return Ok(known);
        }
        let probe = Table { name: "rcr-probe", sets: &[], chains: Vec::new(), ..host_table() };
        let mut batch = Batch::new(self.socket.next_seq());
        batch.new_table(probe.family, probe.name, 0);
        batch.flow_table(&probe, &[]);
        batch.delete_table(probe.family, probe.name);
        let has = match commit(&mut self.socket, batch.finish()) {
            Ok(()) => true,
            Err(error) if error.is_gone() || error.errno() == Some(Errno::EOPNOTSUPP) => false,
            Err(error) => return Err(error),
        };
        self.flow_tables = Some(has);
        Ok(has)
    }

    /// One transaction: what `fill` says, these links for the flow table, and the chains that these sets need.
    fn change(
        &mut self,
        sets: BTreeSet<Set>,
        links: &[IfName],
        fill: impl FnOnce(&mut Batch),
    ) -> Result<(), KernelError> {
        let sets = self.served(sets)?;
        let mut batch = Batch::new(self.socket.next_seq());
        fill(&mut batch);
        // It is there before the rules that name it, and goes after them.
        let [was, is] = [&self.sets, &sets].map(|sets| sets.contains(&Set::Flows));
        if is && (!was || !links.is_empty()) {
            batch.flow_table(&host_table(), links);
        }
        let chains = (sets != self.sets).then(|| needed(&sets, self.states));
        if let Some(chains) = &chains {
            batch.change(&host_table(), &changes(&self.chains, chains));
        }
        if was && !is {
            batch.delete_flow_table(&host_table());
        }
        if batch.is_empty() {
            return Ok(());
        }
        commit(&mut self.socket, batch.finish())?;
        self.sets = sets;
        self.chains = chains.unwrap_or_else(|| std::mem::take(&mut self.chains));
        Ok(())
    }

    /// Makes the administrator's table, if it isn't there. Says whether it made it.
    pub fn add_user_table(&mut self) -> Result<bool, KernelError> {
        let table = user_table();
        if table_exists(&mut self.socket, &table)? {
            return Ok(false);
        }
        write_plain(&mut self.socket, &table, &[])?;
        Ok(true)
    }

    /// Deletes the administrator's table, unless somebody put rules into it.
    pub fn delete_user_table(&mut self) -> Result<(), KernelError> {
        let table = user_table();
        if !table_exists(&mut self.socket, &table)? || has_rules(&mut self.socket, &table)? {
            return Ok(());
        }
        delete_table(&mut self.socket, &table)
    }
}

/// Writes a table without an owner, in place of what there may be of these families under its name.
pub fn write_plain(socket: &mut Netlink, table: &Table, replaced: &[u8]) -> Result<(), KernelError> {
    let mut batch = Batch::new(socket.next_seq());
    for family in replaced {
        batch.new_table(*family, table.name, 0);
        batch.delete_table(*family, table.name);
    }
    batch.new_table(table.family, table.name, 0);
    batch.contents(table);
    commit(socket, batch.finish())
}

fn delete_table(socket: &mut Netlink, table: &Table) -> Result<(), KernelError> {
    let mut batch = Batch::new(socket.next_seq());
    batch.delete_table(table.family, table.name);
    gone_is_fine(commit(socket, batch.finish()))
}

/// Those of these links that there are: the kernel takes no flow table with another one.
fn there_of(links: BTreeSet<IfName>) -> Vec<IfName> {
    links.into_iter().filter(|link| nix::net::if_::if_nametoindex(link.as_str()).is_ok()).collect()
}

/// Sets that have elements.
fn used(elements: &BTreeSet<Element>) -> BTreeSet<Set> {
    // They are sorted by set, and there may be many thousands.
    let least = |set| Element { set, key: Vec::new(), last: None, data: Vec::new() };
    let first = |set: &Set| elements.range(least(*set)..).next().is_some_and(|element| element.set == *set);
    Set::ALL.into_iter().filter(first).collect()
}

fn named(table: &Table) -> Vec<u8> {
    let mut a = Attributes::default();
    a.text(NFTA_CHAIN_TABLE, table.name);
    let mut payload = vec![table.family, 0, 0, 0];
    payload.extend_from_slice(&a.0);
    payload
}

pub(super) fn table_exists(socket: &mut Netlink, table: &Table) -> Result<bool, KernelError> {
    match socket.get(GETTABLE, &named(table), |_, _| {}) {
        Ok(()) => Ok(true),
        Err(error) if error.is_gone() => Ok(false),
        Err(error) => Err(error),
    }
}

fn has_rules(socket: &mut Netlink, table: &Table) -> Result<bool, KernelError> {
    Ok(!socket.dump(GETRULE, &named(table), |_, _| Some(()))?.is_empty())
}

/// Sends a batch and waits for its end. The first error is the one that counts; the kernel has then changed nothing.
pub(super) fn commit(socket: &mut Netlink, batch: Sealed) -> Result<(), KernelError> {
    socket.send_raw(&batch.bytes)?;
    let mut first: Option<KernelError> = None;
    while !socket.receive(|message| {
        if !batch.holds(message.seq) {
            return false;
        }
        if let Err(KernelError::Netlink { errno, message: words }) = parse_ack(&message)
            && first.is_none()
        {
            let what = batch.name(message.seq);
            let words = words.map_or_else(|| what.to_owned(), |w| format!("{what}: {w}"));
            first = Some(KernelError::Netlink { errno, message: Some(words) });
        }
        message.seq == batch.last
    })? {}
    first.map_or(Ok(()), Err)
}

/// Whether a message of the nftables multicast group says that something of `inet rcr` was deleted.
pub fn deletes_ours(kind: u16, payload: &[u8]) -> bool {
    use super::nft_encode::{DELCHAIN, DELRULE, DELSET, DELSETELEM};
    let deletion = [DELTABLE, DELCHAIN, DELRULE, DELSET, DELSETELEM].contains(&kind);
    deletion && speaks_of(payload, b"rcr\0")
}

/// Whether it says that rules came into `inet rcr-user`, or went from it.
pub fn changes_user_rules(kind: u16, payload: &[u8]) -> bool {
    use super::nft_encode::{DELRULE, NEWRULE};
    [NEWRULE, DELRULE].contains(&kind) && speaks_of(payload, b"rcr-user\0")
}

fn speaks_of(payload: &[u8], table: &[u8]) -> bool {
    let mut attributes = super::netlink::attributes(payload.get(4..).unwrap_or_default());
    let name = attributes.find(|(kind, _)| *kind == NFTA_TABLE_NAME);
    payload.first() == Some(&INET) && name.is_some_and(|(_, name)| name == table)
}
