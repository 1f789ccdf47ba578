//! Links of macvlan and ipvlan networks: VLAN and dummy parents, and the children in containers (include/uapi/linux/if_link.h).

use super::KernelError;
use super::link::{RTM_DELLINK, RTM_NEWLINK, delete_marked, find, mark};
use super::netlink::{NLM_F_CREATE, NLM_F_EXCL, Netlink, emit};
use netd_api::{IfName, IpvlanFlag, IpvlanMode, Mac, MacvlanMode};
use netd_core::marks::{UNFINISHED, is_our_vlan};
use netd_core::plan::Child;
use netlink_packet_core::DefaultNla;
use netlink_packet_route::link::{
    InfoData, InfoIpVlan, InfoKind, InfoMacVlan, InfoVlan, IpVlanMode, LinkAttribute, LinkInfo, LinkMessage,
    MacVlanMode,
};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::process::Stdio;
use std::time::Duration;

/// `IFLA_IPVLAN_FLAGS` and its bits.
const IFLA_IPVLAN_FLAGS: u16 = 2;
const IPVLAN_F_PRIVATE: u16 = 1;
const IPVLAN_F_VEPA: u16 = 2;
/// A parent is busy for some milliseconds after its last child of the other kind went with a namespace.
const BUSY_TRIES: usize = 25;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Creates a VLAN link, down. Says whether it did: one of that name may be there already.
pub fn add_vlan(socket: &mut Netlink, name: &IfName, on: u32, id: u16, alias: &str) -> Result<bool, KernelError> {
    let mut request = LinkMessage::default();
    request.attributes = vec![
        LinkAttribute::IfName(name.to_string()),
        LinkAttribute::Link(on),
        LinkAttribute::Group(UNFINISHED),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Vlan),
            LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(id)])),
        ]),
    ];
    match socket.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &emit(&request)) {
        Ok(()) => finish_vlan(socket, name, alias).map(|()| true),
        // Ours from before a crash or of another network, or the host's own: the alias tells which when it is undone.
        Err(error) if error.errno() == Some(Errno::EEXIST) => {
            let ours = is_our_vlan(name, &find(socket, name.as_str())?);
            if ours {
                finish_vlan(socket, name, alias)?;
            }
            Ok(ours)
        }
        Err(error) => Err(error),
    }
}

/// Gives a VLAN link of ours its alias, in place of the group that has told so far.
fn finish_vlan(socket: &mut Netlink, name: &IfName, alias: &str) -> Result<(), KernelError> {
    let mut request = LinkMessage::default();
    let (name, alias) = (LinkAttribute::IfName(name.to_string()), LinkAttribute::IfAlias(alias.to_owned()));
    request.attributes = vec![name, alias, LinkAttribute::Group(0)];
    socket.request(RTM_NEWLINK, 0, &emit(&request))
}

/// Deletes a VLAN link, if it is ours: also one that a crash left without its alias.
pub fn delete_vlan(socket: &mut Netlink, name: &IfName, alias: &str) -> Result<(), KernelError> {
    match find(socket, name.as_str()) {
        Ok(seen) if is_our_vlan(name, &seen) => finish_vlan(socket, name, alias)?,
        Ok(_) => return Ok(()),
        Err(error) if error.is_gone() => return Ok(()),
        Err(error) => return Err(error),
    }
    delete_marked(socket, name.as_str(), alias, None).map(|_| ())
}

/// Creates a dummy link, down. `EEXIST` when the name is taken.
pub fn add_dummy(socket: &mut Netlink, name: &IfName, mac: Mac, mtu: u32, alias: &str) -> Result<(), KernelError> {
    let mut request = LinkMessage::default();
    request.attributes = vec![
        LinkAttribute::IfName(name.to_string()),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Dummy)]),
        LinkAttribute::Address(mac.0.to_vec()),
        LinkAttribute::Mtu(mtu),
    ];
    socket.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &emit(&request))?;
    mark(socket, name, alias, false)
}

/// What a container's link is made of.
pub struct ChildSpec<'a> {
    pub name: &'a IfName,
    pub kind: Child,
    pub mac: Option<Mac>,
    /// Absent: the parent's.
    pub mtu: Option<u32>,
}

/// Creates a link on `parent`, in `netns` or here, down: the kernel looks the parent up here and makes the link there
/// (net/core/rtnetlink.c, rtnl_newlink_create). `EEXIST` also when the host has a link of that name.
pub fn add_child(
    socket: &mut Netlink,
    spec: &ChildSpec<'_>,
    parent: &IfName,
    netns: Option<BorrowedFd<'_>>,
) -> Result<(), KernelError> {
    let index = find(socket, parent.as_str())?.index;
    let (kind, data) = match spec.kind {
        Child::Macvlan { mode } => (InfoKind::MacVlan, InfoData::MacVlan(vec![InfoMacVlan::Mode(macvlan_mode(mode))])),
        Child::Ipvlan { mode, flag } => {
            let flags = DefaultNla::new(IFLA_IPVLAN_FLAGS, ipvlan_flags(flag).to_ne_bytes().to_vec());
            let data = vec![InfoIpVlan::Mode(ipvlan_mode(mode)), InfoIpVlan::Other(flags)];
            (InfoKind::IpVlan, InfoData::IpVlan(data))
        }
    };
    let mut request = LinkMessage::default();
    request.attributes = vec![LinkAttribute::IfName(spec.name.to_string()), LinkAttribute::Link(index)];
    request.attributes.extend(netns.map(|netns| LinkAttribute::NetNsFd(netns.as_raw_fd())));
    request.attributes.extend(spec.mac.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
    request.attributes.extend(spec.mtu.map(LinkAttribute::Mtu));
    request.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind), LinkInfo::Data(data)]));
    let request = emit(&request);
    for _ in 0..BUSY_TRIES {
        match socket.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &request) {
            Err(error) if error.errno() == Some(Errno::EBUSY) => std::thread::sleep(BUSY_PAUSE),
            other => return other,
        }
    }
    socket.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &request)
}

/// Renames a link that is down.
pub fn rename(socket: &mut Netlink, from: &IfName, to: &IfName) -> Result<(), KernelError> {
    let mut request = LinkMessage::default();
    request.header.index = find(socket, from.as_str())?.index;
    request.attributes = vec![LinkAttribute::IfName(to.to_string())];
    socket.request(RTM_NEWLINK, 0, &emit(&request))
}

/// Deletes a container's link, in whose namespace the socket is.
pub fn delete_child(socket: &mut Netlink, name: &IfName) -> Result<(), KernelError> {
    let mut request = LinkMessage::default();
    request.header.index = find(socket, name.as_str())?.index;
    socket.request(RTM_DELLINK, 0, &emit(&request))
}

/// Loads the module of dummy links without the `dummy0` that it makes when the kernel loads it by itself. Where this may not be, or
/// there are no modules, the kernel does what it does.
pub fn load_dummy_module() {
    if std::path::Path::new("/sys/module/dummy").exists() {
        return;
    }
    let mut modprobe = std::process::Command::new("modprobe");
    let path = std::env::var("PATH").unwrap_or_default();
    modprobe.args(["--quiet", "dummy", "numdummies=0"]).env("PATH", format!("{path}:/usr/sbin:/sbin"));
    let _ = modprobe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Whether the kernel has a link kind (loading its module, where there are modules): a request that no kind accepts is answered
/// with EOPNOTSUPP where the kind is unknown, and with another error where it is known. Nothing is made.
pub fn knows_kind(socket: &mut Netlink, kind: &str) -> Result<bool, KernelError> {
    let kind = match kind {
        "macvlan" => InfoKind::MacVlan,
        "ipvlan" => InfoKind::IpVlan,
        "vlan" => InfoKind::Vlan,
        "dummy" => InfoKind::Dummy,
        other => InfoKind::Other(other.to_owned()),
    };
    let mut request = LinkMessage::default();
    // An Ethernet address of one byte.
    request.attributes = vec![LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]), LinkAttribute::Address(vec![0])];
    match socket.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &emit(&request)) {
        Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => Ok(false),
        Err(error) if error.errno() == Some(Errno::EPERM) => Err(error),
        _ => Ok(true),
    }
}

/// Whether a link of the host is a Wi-Fi card (Documentation/ABI/testing/sysfs-class-net).
pub fn is_wireless(name: &IfName) -> bool {
    std::path::Path::new("/sys/class/net").join(name.as_str()).join("phy80211").exists()
}

fn macvlan_mode(mode: MacvlanMode) -> MacVlanMode {
    match mode {
        MacvlanMode::Bridge => MacVlanMode::Bridge,
        MacvlanMode::Private => MacVlanMode::Private,
        MacvlanMode::Vepa => MacVlanMode::Vepa,
        MacvlanMode::Passthru => MacVlanMode::Passthrough,
    }
}

fn ipvlan_mode(mode: IpvlanMode) -> IpVlanMode {
    match mode {
        IpvlanMode::L2 => IpVlanMode::L2,
        IpvlanMode::L3 => IpVlanMode::L3,
        IpvlanMode::L3s => IpVlanMode::L3S,
    }
}

fn ipvlan_flags(flag: IpvlanFlag) -> u16 {
    match flag {
        IpvlanFlag::Bridge => 0,
        IpvlanFlag::Private => IPVLAN_F_PRIVATE,
        IpvlanFlag::Vepa => IPVLAN_F_VEPA,
    }
}
