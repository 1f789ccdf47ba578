//! Addresses from the LAN's own DHCP server (`--ipam-driver dhcp`): a first plan makes the link, the server gives an
//! address, a second plan uses it. Leases are kept by threads of their own, resumed after a restart, and given back at
//! the end.

use super::failures::{Unattached, kernel_failed, no_sandbox};
use super::host::Host;
use super::input::Input;
use super::namespace::opened;
use super::records::Networks;
use super::records::{Sandbox, journal_key};
use super::routes::choose_default_routes;
use super::state::Daemon;
use super::wait::{Wait, WaitOver};
use crate::kernel::{DhcpClient, DhcpIdentity, KernelError};
use crate::store::Durability;
use ipnet::IpNet;
use netd_api::{ApiError, ContainerId, NetworkId, Reply};
use netd_core::drivers::lan;
use netd_core::model::{Attachment, LanLease};
use netd_core::plan::{Purpose, Step};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::Receiver;

const NO_SERVER: &str = "is there one on the parent's LAN? `tcpdump -i PARENT port 67` shows what is said; a `--subnet` in place of \
    `--ipam-driver dhcp` needs none";

impl Daemon {
    /// The wait for an address is over. If there is none, a new container is released, and a running one is
    /// disconnected again.
    pub(super) fn settle_lease(&mut self, settled: WaitOver) -> Result<Reply, ApiError> {
        let WaitOver { id, network, fresh, lease } = settled;
        let Some(sandbox) = self.sandboxes.get_mut(&id) else {
            return Err(no_sandbox(&id));
        };
        let what = format!("cannot attach `{}`", sandbox.record.name);
        let at = sandbox.attached.iter().position(|a| a.attachment.network == network);
        let used = match (at, lease) {
            (Some(i), Some(lease)) => self.host.use_lease(sandbox, i, lease, &what),
            (Some(_), None) => Err(kernel_failed(&what, &KernelError::NoLease).hint(NO_SERVER).into()),
            (None, _) => Ok(()),
        };
        if let Err(Unattached { error, duplicate }) = used {
            let error = *error;
            if let (Some(i), Some(_)) = (at, duplicate)
                && let Some(client) = sandbox.attached[i].client.take()
            {
                client.decline();
            }
            let undone =
                if fresh { self.sandbox_release(&id) } else { self.disconnect(&id, network.as_str()).map(drop) };
            return Err(undone.err().map_or(error.clone(), |left| error.caused_by(left.message)));
        }
        self.host.names.announce_all(&self.host.networks, sandbox);
        let written = self.host.write_sandbox(sandbox, Durability::Durable, &what);
        let info = self.host.networks.describe_sandbox(sandbox);
        written.map(|()| Reply::Sandbox(info))
    }

    /// The server gave a running container another address, or takes back the one it had.
    pub(super) fn leased_anew(&mut self, id: &ContainerId, network: &NetworkId, lease: Option<LanLease>) {
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return };
        let Some(i) = sandbox.attached.iter().position(|a| a.attachment.network == *network) else { return };
        let had = sandbox.attached[i].attachment.lease.clone();
        match lease {
            Some(lease) if had.is_some_and(|had| (had.address, had.router) == (lease.address, lease.router)) => {}
            Some(lease) => self.host.change_lease(sandbox, i, lease),
            None => self.host.lose_lease(sandbox, i),
        }
    }
}

impl Host {
    /// Asks for an address for the attachment `i`, whose link is up. The caller waits for the answer, the writer does
    /// not.
    pub(super) fn lease_from_lan(
        &mut self,
        sandbox: &mut Sandbox,
        i: usize,
        fresh: bool,
        what: &str,
    ) -> Result<Option<Wait>, ApiError> {
        let network = sandbox.attached[i].attachment.network.clone();
        if !self.networks.leases_from_lan(&network) {
            return Ok(None);
        }
        let started = self.dhcp_client(sandbox, i, None);
        let (client, lease) = started.map_err(|error| kernel_failed(what, &error))?;
        sandbox.attached[i].client = Some(client);
        Ok(Some(Wait { id: sandbox.record.id.clone(), network, fresh, lease }))
    }

    /// The second plan: the address, its routes, and word to the neighbours.
    fn use_lease(&mut self, sandbox: &mut Sandbox, i: usize, lease: LanLease, what: &str) -> Result<(), Unattached> {
        let Some(network) = self.networks.get(&sandbox.attached[i].attachment.network).map(|n| n.network.clone())
        else {
            return Ok(());
        };
        let mut all: Vec<Attachment> = sandbox.attached.iter().map(|a| a.attachment.clone()).collect();
        all[i].addresses = vec![IpNet::V4(lease.address)];
        all[i].gateways = lease.router.map(IpAddr::V4).filter(|_| !network.internal).into_iter().collect();
        all[i].lease = Some(lease);
        choose_default_routes(&mut all);
        self.keep_answers(sandbox, &all, what)?;
        let plan = lan::leased(&network, &all[i]);
        self.apply_more(sandbox, i, plan, what)?;
        for (attached, now) in sandbox.attached.iter_mut().zip(all) {
            attached.attachment = now;
        }
        Ok(())
    }

    fn change_lease(&mut self, sandbox: &mut Sandbox, i: usize, lease: LanLease) {
        let what = format!("cannot give `{}` the address `{}`", sandbox.record.name, lease.address);
        self.log.line(format!("the LAN gives container `{}` the address `{}`", sandbox.record.name, lease.address));
        self.drop_lease(sandbox, i);
        match self.use_lease(sandbox, i, lease, &what) {
            Ok(()) => self.names.announce(&self.networks, &sandbox.record, &sandbox.attached[i].attachment),
            Err(Unattached { error, .. }) => self.log.line(format!("{error}: {}", error.causes.join(": "))),
        }
        let _ = self.write_sandbox(sandbox, Durability::Durable, &what);
    }

    /// The lease has ended: the address is somebody else's to be had. The client goes on asking for another one.
    fn lose_lease(&mut self, sandbox: &mut Sandbox, i: usize) {
        let Some(lease) = sandbox.attached[i].attachment.lease.clone() else { return };
        let name = sandbox.record.name.clone();
        self.log
            .line(format!("the lease of container `{name}` has ended: the address `{}` is taken off", lease.address));
        self.drop_lease(sandbox, i);
        let attachment = &mut sandbox.attached[i].attachment;
        attachment.addresses.clear();
        attachment.gateways.clear();
        attachment.default_via.clear();
        self.names.forget(&attachment.network, &attachment.container);
        let what = format!("cannot write down that the lease of `{name}` has ended");
        let _ = self.write_sandbox(sandbox, Durability::Durable, &what);
    }

    fn dhcp_client(
        &self,
        sandbox: &Sandbox,
        i: usize,
        known: Option<LanLease>,
    ) -> Result<(DhcpClient, Receiver<LanLease>), KernelError> {
        let (a, netns) = (&sandbox.attached[i].attachment, opened(sandbox)?.ok_or(KernelError::NoNetns)?);
        let mac = crate::kernel::mac_inside(&netns, a.ifname.as_str())?;
        let who =
            DhcpIdentity { mac, client_id: format!("rcr-{}", a.container.short()), hostname: a.container_name.clone() };
        let (inbox, id, network) = (self.sender.clone(), a.container.clone(), a.network.clone());
        let tell = move |lease| drop(inbox.send(Input::Leased(id.clone(), network.clone(), lease)));
        DhcpClient::start(&netns, a.ifname.as_str(), who, known, tell)
    }

    /// After a restart: leases are kept up again. A change of address comes in as an input.
    pub(super) fn resume_leases(&self, sandbox: &mut Sandbox) {
        for i in 0..sandbox.attached.len() {
            let a = &sandbox.attached[i].attachment;
            if !self.networks.leases_from_lan(&a.network) {
                continue;
            }
            // Without a lease it was waiting for its first one.
            match self.dhcp_client(sandbox, i, a.lease.clone()) {
                Ok((client, _)) => sandbox.attached[i].client = Some(client),
                Err(error) => {
                    self.log.line(format!("container `{}` keeps its lease no longer: {error}", sandbox.record.name))
                }
            }
        }
    }

    /// Removes an address that the LAN has taken back from its link and from the journal.
    fn drop_lease(&mut self, sandbox: &mut Sandbox, i: usize) {
        let netns = sandbox.netns().ok().flatten();
        let attached = &mut sandbox.attached[i];
        if attached.attachment.lease.take().is_none() {
            return;
        }
        // It has no other addresses, and no other routes.
        let gone = |step: &Step| matches!(step.purpose, Purpose::Addresses | Purpose::Routes);
        let key = journal_key(&attached.attachment.container, &attached.attachment.network);
        self.ledger.undo_steps(&key, &mut attached.journal, gone, netns.as_ref().map(OwnedFd::as_fd));
    }
}

impl Networks {
    /// Whether a network's addresses come from its LAN.
    pub(super) fn leases_from_lan(&self, network: &NetworkId) -> bool {
        self.get(network).and_then(|n| n.network.driver.lan()).is_some_and(|o| o.dhcp)
    }
}

/// Refuses an address of the user's choice where the LAN's server chooses.
pub fn refuse_choice(request: &netd_api::AttachmentRequest, what: &str) -> Result<(), ApiError> {
    let chosen = request.ip.map(IpAddr::V4).or(request.ip6.map(IpAddr::V6));
    match chosen {
        Some(address) => Err(ApiError::new(netd_api::ErrorKind::Invalid, what)
            .caused_by(format!("`{address}` can't be chosen: the LAN's DHCP server gives the addresses"))
            .hint("let that server know the container by its MAC (`--mac-address`)")),
        None => Ok(()),
    }
}

/// Gives a lease back: the server may hand the address to others.
pub fn release(attached: &mut super::records::Attached) {
    if let Some(client) = attached.client.take() {
        client.release();
    }
}

/// Refuses options that don't go with addresses of the LAN's server.
pub fn refuse_network(spec: &netd_api::NetworkCreate, joins: bool, own: bool, what: &str) -> Result<(), ApiError> {
    let refuse = |why: &str, hint: &str| {
        Err(ApiError::new(netd_api::ErrorKind::Invalid, what).caused_by(why.to_owned()).hint(hint.to_owned()))
    };
    let options = spec.driver.lan();
    if !joins || own {
        return refuse(
            "`--ipam-driver dhcp` needs a LAN with a server",
            "it goes with macvlan and with ipvlan in mode `l2`, on a `-o parent=`",
        );
    }
    if !spec.subnets.is_empty() || spec.ipv6 {
        return refuse(
            "the LAN's DHCP server knows its subnet, gateway and addresses",
            "leave `--subnet` and `--ipv6` out",
        );
    }
    if options.is_some_and(|o| o.host_access) {
        return refuse(
            "`host_access` needs an address that the host can keep",
            "name a `--subnet` instead of the server",
        );
    }
    Ok(())
}
