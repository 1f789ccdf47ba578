//! A container's network while it is being started: netd's, another container's, or a namespace that the user brings.

use crate::config::{self, Config, Dns, NetworkMode};
use crate::dirs::{Dirs, shared_folder};
use crate::instance::Instance;
use crate::net::{Netd, release, unexpected};
use crate::store::Container;
use netd_api::{
    AttachmentRequest, Call, ContainerId, DnsRequest, NetnsSource, PlanView, Reply, SandboxInfo, SandboxRequest,
};
use rcr_base::{Doing, Error, Kind, Outcome, command};
use rcr_shim::protocol::{SOCKET_NAME, ask_netns};
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Below a container's run folder: an empty file for each container that joined its network, named by its id.
const JOINED: &str = "joined";
/// `NSFS_MAGIC` (include/uapi/linux/magic.h).
const NSFS_MAGIC: u64 = 0x6e73_6673;
/// How many containers may join one after the other. A container can only join an older one, so the chain is finite.
const LONGEST_CHAIN: usize = 64;

/// Where the network comes from, looked up before anything is changed.
#[derive(Debug)]
pub enum Ground {
    /// netd makes it, or the host's is used.
    Netd,
    /// Another container's: absent where that one runs in the host's.
    Joined {
        /// The namespace; absent: the host's.
        netns: Option<OwnedFd>,
        /// The container that owns the network.
        owner: ContainerId,
    },
    /// The user's.
    Given(OwnedFd),
}

impl Ground {
    /// Finds it.
    pub fn find(instance: &Instance, config: &Config) -> Outcome<Self> {
        match &config.network.mode {
            NetworkMode::Container(id) => join(instance, id),
            NetworkMode::Path(path) => open_netns(path).map(Self::Given),
            NetworkMode::Host | NetworkMode::None | NetworkMode::Networks(_) => Ok(Self::Netd),
        }
    }

    /// Whether the container will run in the host's namespace.
    pub fn is_host(&self, config: &Config) -> bool {
        matches!(self, Self::Joined { netns: None, .. }) || config.network.mode == NetworkMode::Host
    }

    /// The folder of the files that go with the network: `hosts`, `resolv.conf`, `hostname`.
    pub fn files_dir(&self, dirs: &Dirs, config: &Config) -> PathBuf {
        match self {
            Self::Joined { owner, .. } => dirs.container_run(owner),
            Self::Netd | Self::Given(_) => dirs.container_run(&config.id),
        }
    }
}

fn join(instance: &Instance, id: &ContainerId) -> Outcome<Ground> {
    let target = instance.containers().load(id).map_err(|failure| {
        failure
            .hint("the container whose network it shares was removed: create this one again, with another `--network`")
    })?;
    let name = &target.config.name;
    if !target.state.status.is_alive() {
        return Err(Error::new(Kind::Conflict, format!("cannot join the network of container `{name}`"))
            .caused_by(format!("it is {}", target.state.status.name()))
            .hint(format!("start it first: {}", command::start(name))));
    }
    let socket = instance.dirs.container_run(id).join(SOCKET_NAME);
    let netns = ask_netns(&socket)
        .map_err(|error| Error::io(format!("cannot join the network of container `{name}`"), &error))?;
    let owner = owner(instance, &target)?;
    Ok(Ground::Joined { netns, owner: owner.config.id })
}

/// The container that owns a network: one that joined another's has none of its own.
pub fn owner(instance: &Instance, container: &Container) -> Outcome<Container> {
    let mut at = container.clone();
    for _ in 0..LONGEST_CHAIN {
        let NetworkMode::Container(next) = &at.config.network.mode else { return Ok(at) };
        at = instance.containers().load(next)?;
    }
    Err(Error::new(
        Kind::Invalid,
        format!("container `{}` joins a network through too many others", container.config.name),
    ))
}

/// Opens a network namespace by its path, if it is one.
pub fn open_netns(path: &Path) -> Outcome<OwnedFd> {
    let doing = || format!("cannot use `{}` as a network namespace", path.display());
    if !path.is_absolute() {
        return Err(Error::new(Kind::Invalid, doing())
            .caused_by("it is not an absolute path")
            .hint("`ip netns add blue` makes one at /run/netns/blue: `--network ns:/run/netns/blue`"));
    }
    // With O_PATH first: opening a device or a pipe could have an effect.
    let at = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let at = at.map_err(std::io::Error::from).doing(doing)?;
    let seen = rustix::fs::fstatfs(&at).map_err(std::io::Error::from).doing(doing)?;
    let none = || {
        Error::new(Kind::Invalid, doing())
            .caused_by("it is not a network namespace")
            .hint("`ip netns list` shows those at /run/netns, `lsns -t net` those of processes (/proc/PID/ns/net)")
    };
    if seen.f_type as u64 != NSFS_MAGIC {
        return Err(none());
    }
    let file = fs::File::open(format!("/proc/self/fd/{}", at.as_raw_fd())).doing(doing)?;
    match crate::sys::netns::namespace_kind(file.as_fd()) {
        Ok(libc::CLONE_NEWNET) => Ok(file.into()),
        _ => Err(none()),
    }
}

/// A network that netd is making. It belongs to our connection until the shim holds it.
pub struct Pending {
    netd: Option<Netd>,
    netns: Option<OwnedFd>,
    owner: Option<ContainerId>,
}

/// The container's network while it is being started.
pub struct Network {
    netd: Option<Netd>,
    /// Absent where netd has no part in it.
    pub sandbox: Option<SandboxInfo>,
    /// The namespace, until the shim has it.
    pub netns: Option<OwnedFd>,
    owner: Option<ContainerId>,
}

impl Pending {
    /// Asks netd for its part; the rest already exists.
    pub fn request(instance: &Instance, config: &Config, ground: Ground) -> Outcome<Self> {
        match ground {
            Ground::Joined { netns, owner } => return Ok(Self { netd: None, netns, owner: Some(owner) }),
            Ground::Given(netns) => return Ok(Self { netd: None, netns: Some(netns), owner: None }),
            Ground::Netd => {}
        }
        let (attachments, source) = wished(&config.network.mode);
        // Containers that joined the network live in the namespace of the last run: it is used again, so that they are
        // on the network again.
        let kept = if source == NetnsSource::New { kept_by_others(instance, &config.id) } else { None };
        let attachments = attachments.into_iter().map(|a| with_wishes(a, config)).collect();
        let netns = if kept.is_some() { NetnsSource::Given } else { source };
        let (id, name) = (config.id.clone(), config.name.clone());
        let gateway = config.wants_host_gateway();
        let spec = asked(id, name, netns, attachments, &config.network, &config.dns, gateway);
        let fds: Vec<_> = kept.iter().map(|fd| fd.as_fd()).collect();
        let mut netd = instance.netd()?;
        netd.send(Call::SandboxCreate { spec, dry_run: false }, &fds)?;
        Ok(Self { netd: Some(netd), netns: None, owner: None })
    }

    /// Waits for netd.
    pub fn finish(self, config: &Config) -> Outcome<Network> {
        let Self { netd, netns, owner } = self;
        let Some(mut netd) = netd else { return Ok(Network { netd, sandbox: None, netns, owner }) };
        let (sandbox, netns) = netd.receive_sandbox()?;
        if netns.is_none() && config.network.mode != NetworkMode::Host {
            return Err(Error::new(Kind::System, "netd sent no network namespace"));
        }
        Ok(Network { netd: Some(netd), sandbox: Some(sandbox), netns, owner })
    }
}

impl Network {
    /// From now on the shim keeps the netns; netd learns where to ask for it.
    pub fn hold(&mut self, dirs: &Dirs, config: &Config) -> Outcome<()> {
        let run_dir = dirs.container_run(&config.id);
        if let Some(owner) = &self.owner {
            // For the owner's next start. If it is missing, this container must be restarted after that one.
            let folder = dirs.container_run(owner).join(JOINED);
            let _ = shared_folder(&folder).and_then(|()| fs::write(folder.join(config.id.as_str()), b""));
        }
        let Some(netd) = &mut self.netd else { return Ok(()) };
        match netd.call(Call::SandboxHold { id: config.id.clone(), socket: run_dir.join(SOCKET_NAME) }) {
            Ok(Reply::Done) => Ok(()),
            Ok(other) => Err(unexpected(&other)),
            // A program that has already ended took its shim, and so its network, with it.
            Err(_) if !run_dir.join(SOCKET_NAME).exists() => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}

/// The namespace of a container's last run, if a container that joined it still lives there.
fn kept_by_others(instance: &Instance, id: &ContainerId) -> Option<OwnedFd> {
    let folder = instance.dirs.container_run(id).join(JOINED);
    let mut kept = None;
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let other = entry.file_name().to_str().and_then(|name| name.parse::<ContainerId>().ok());
        let other = other.and_then(|other| instance.containers().load(&other).ok());
        let alive = other.filter(|c| c.state.status.is_alive());
        match alive.and_then(|c| ask_netns(&instance.dirs.container_run(&c.config.id).join(SOCKET_NAME)).ok().flatten())
        {
            Some(netns) => {
                kept.get_or_insert(netns);
            }
            None => drop(fs::remove_file(entry.path())),
        }
    }
    kept
}

/// What is asked of netd for a kind of network, and whose namespace it is for.
fn wished(mode: &NetworkMode) -> (Vec<AttachmentRequest>, NetnsSource) {
    match mode {
        NetworkMode::Host => (vec![AttachmentRequest::to("host")], NetnsSource::Host),
        NetworkMode::Networks(list) => (list.clone(), NetnsSource::New),
        _ => (vec![AttachmentRequest::to("none")], NetnsSource::New),
    }
}

fn asked(
    id: ContainerId,
    name: String,
    netns: NetnsSource,
    attachments: Vec<AttachmentRequest>,
    network: &config::Network,
    dns: &Dns,
    host_gateway: bool,
) -> SandboxRequest {
    let dns = DnsRequest { servers: dns.servers.clone(), search: dns.search.clone(), healthy_only: dns.healthy_only };
    SandboxRequest { id, name, netns, attachments, publish: network.to_publish(), dns, host_gateway }
}

/// A container whose network is planned: one that there is, or one that is not made yet.
pub struct Planned<'a> {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: &'a str,
    /// Its network.
    pub network: &'a config::Network,
    /// Its names.
    pub dns: &'a Dns,
    /// Its `/etc/hosts` names the host.
    pub host_gateway: bool,
}

/// What netd would do for a container's start. Nothing is changed.
pub fn plan(instance: &Instance, one: &Planned) -> Outcome<PlanView> {
    let name = one.name;
    match &one.network.mode {
        NetworkMode::Container(id) => {
            let owner = instance.containers().load(id)?.config.name;
            return Ok(PlanView::saying(format!("{name} joins the network of {owner}: nothing is made for it")));
        }
        NetworkMode::Path(path) => {
            let path = path.display();
            return Ok(PlanView::saying(format!("{name} joins the namespace {path}: nothing is made for it")));
        }
        NetworkMode::Host | NetworkMode::None | NetworkMode::Networks(_) => {}
    }
    let (attachments, source) = wished(&one.network.mode);
    let (id, name) = (one.id.clone(), name.to_owned());
    let spec = asked(id, name, source, attachments, one.network, one.dns, one.host_gateway);
    match instance.netd()?.call(Call::SandboxCreate { spec, dry_run: true })? {
        Reply::Plan(plan) => Ok(plan),
        other => Err(unexpected(&other)),
    }
}

fn with_wishes(mut request: AttachmentRequest, config: &Config) -> AttachmentRequest {
    if let Some(last) = config.last_addresses.get(&request.network) {
        request.prefer.clone_from(last);
    }
    request
}

/// Releases a container's network, if netd made it.
pub fn release_own(instance: &Instance, config: &Config) -> Outcome<()> {
    match config.network.mode {
        NetworkMode::Container(_) | NetworkMode::Path(_) => Ok(()),
        NetworkMode::Host | NetworkMode::None | NetworkMode::Networks(_) => release(&instance.dirs, &config.id),
    }
}
