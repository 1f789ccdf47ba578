//! Network namespaces of containers: made ready ahead of time, entered only by threads that then end.

use super::netlink::Netlink;
use super::nft::write_plain;
use super::{KernelError, link, sysctl};
use netd_core::firewall::{dns_table, dns_table_without_ingress};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::mpsc::{Receiver, sync_channel};

/// Namespaces that wait to be used.
const READY: usize = 3;
/// The loopback's index in every namespace.
const LOOPBACK: u32 = 1;
/// Where containers find their resolver.
const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// Families that the resolver's table may be of: an older netd wrote one of `ip`, which tracked connections.
const DNS_FAMILIES: [u8; 2] = [2, 5];

/// What holds in every container's namespace before its first link exists. `default` is what new links start with.
const SYSCTLS: [(&str, &str); 12] = [
    // a new namespace takes these over from the machine's first one; a container on two networks is no router between them
    ("net/ipv4/ip_forward", "0"),
    ("net/ipv6/conf/all/forwarding", "0"),
    // ping without CAP_NET_RAW, ports below 1024 without CAP_NET_BIND_SERVICE: it is the container's own namespace
    ("net/ipv4/ping_group_range", "0 2147483647"),
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    // addresses are announced when a link comes up, so that an address that was somebody else's is learned anew
    ("net/ipv4/conf/default/arp_notify", "1"),
    ("net/ipv6/conf/default/ndisc_notify", "1"),
    // answers leave on any of several networks
    ("net/ipv4/conf/default/rp_filter", "2"),
    // IPv6 comes with a network that has it, from netd alone
    ("net/ipv6/conf/default/disable_ipv6", "1"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/autoconf", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_redirects", "0"),
];

/// A container's namespace.
#[derive(Debug)]
pub struct Netns {
    pub fd: OwnedFd,
    pub resolver: Option<Resolver>,
}

/// The sockets of a container's resolver, opened inside its namespace.
#[derive(Debug)]
pub struct Resolver {
    pub udp: UdpSocket,
    pub tcp: TcpListener,
}

impl Netns {
    /// Makes one on a thread of its own, with loopback up, the sysctls set and the resolver's sockets bound.
    pub fn new() -> Result<Self, KernelError> {
        on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(KernelError::call("create a network namespace"))?;
            let path = "/proc/thread-self/ns/net";
            let fd = File::open(path).map_err(|error| KernelError::io(format!("open `{path}`"), &error))?;
            let resolver = prepare(&[])?;
            Ok(Self { fd: fd.into(), resolver: Some(resolver) })
        })
    }

    /// Takes over a namespace that the caller brought or that a shim kept.
    pub fn adopt(fd: OwnedFd) -> Result<Self, KernelError> {
        let resolver = within(fd.as_fd(), || prepare(&DNS_FAMILIES))?;
        Ok(Self { fd, resolver: Some(resolver) })
    }

    /// Keeps `READY` namespaces in stock, made by a thread in the background.
    pub fn stock() -> Result<Receiver<Result<Self, KernelError>>, KernelError> {
        let (sender, receiver) = sync_channel(READY - 1);
        let refill = move || while sender.send(Self::new()).is_ok() {};
        std::thread::Builder::new()
            .name("netns".into())
            .stack_size(128 << 10)
            .spawn(refill)
            .map_err(|error| KernelError::io("start a thread", &error))?;
        Ok(receiver)
    }
}

/// `replaced`: the families of tables that a resolver before may have left there.
fn prepare(replaced: &[u8]) -> Result<Resolver, KernelError> {
    let mut route = Netlink::route()?;
    link::set_up(&mut route, LOOPBACK)?;
    for (key, value) in SYSCTLS {
        match sysctl::write(key, value) {
            // The kernel may lack IPv6; it has the others since 3.0 and 4.11.
            Err(error) if error.is_gone() => {}
            other => drop(other?),
        }
    }
    open_resolver(replaced)
}

fn open_resolver(replaced: &[u8]) -> Result<Resolver, KernelError> {
    let failed = |error: std::io::Error| KernelError::io("open the resolver's sockets", &error);
    let any = SocketAddrV4::new(RESOLVER, 0);
    let udp = UdpSocket::bind(any).map_err(failed)?;
    let tcp = TcpListener::bind(any).map_err(failed)?;
    let ports = (udp.local_addr().map_err(failed)?.port(), tcp.local_addr().map_err(failed)?.port());
    udp.set_nonblocking(true).map_err(failed)?;
    tcp.set_nonblocking(true).map_err(failed)?;
    bring_names(&mut Netlink::netfilter()?, ports, replaced)?;
    Ok(Resolver { udp, tcp })
}

/// Brings 127.0.0.11:53 to the resolver's ports.
fn bring_names(nft: &mut Netlink, (udp, tcp): (u16, u16), replaced: &[u8]) -> Result<(), KernelError> {
    // Where the kernel can't do the first, the second says what is wrong.
    write_plain(nft, &dns_table(udp, tcp), replaced)
        .or_else(|_| write_plain(nft, &dns_table_without_ingress(udp, tcp), replaced))
}

nix::ioctl_none_bad!(
    /// `SIOCGSKNS` (include/uapi/linux/sockios.h).
    siocgskns,
    0x894c
);

/// The network namespace that a socket was opened in, and keeps: no other one can be taken for it.
pub fn namespace_of(socket: BorrowedFd<'_>) -> std::io::Result<OwnedFd> {
    // SAFETY: this request takes no argument.
    let fd = unsafe { siocgskns(socket.as_raw_fd()) }?;
    // SAFETY: the kernel just opened this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Opens new resolver sockets in a namespace and brings 127.0.0.11:53 to them.
pub fn replace_dns(netns: BorrowedFd<'_>) -> Result<Resolver, KernelError> {
    within(netns, || open_resolver(&DNS_FAMILIES))
}

/// The MAC of a link inside a namespace.
pub fn mac_inside(netns: &OwnedFd, name: &str) -> Result<netd_api::Mac, KernelError> {
    let seen = within(netns.as_fd(), || link::find(&mut Netlink::route()?, name))?;
    seen.mac.ok_or_else(|| KernelError::NoLink(name.to_owned()))
}

/// Runs `work` on a thread inside the namespace; the thread then ends.
pub fn within<T: Send>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<T, KernelError> + Send,
) -> Result<T, KernelError> {
    on_thread(move || {
        setns(netns, CloneFlags::CLONE_NEWNET).map_err(KernelError::call("enter the container's network namespace"))?;
        work()
    })
}

fn on_thread<T: Send>(work: impl FnOnce() -> Result<T, KernelError> + Send) -> Result<T, KernelError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| KernelError::io("start a thread", &error))?;
        thread.join().unwrap_or_else(|_| {
            Err(KernelError::Call { what: "run a thread".into(), errno: nix::errno::Errno::EAGAIN })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    const ASKED: SocketAddrV4 = SocketAddrV4::new(RESOLVER, 53);

    fn client() -> UdpSocket {
        let client = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        client.connect(ASKED).unwrap();
        client
    }

    /// Asks and answers over UDP and TCP by way of this table, and asks once more when nobody listens.
    fn exchange(table: fn(u16, u16) -> netd_core::firewall::Table) {
        let done = on_thread(move || {
            unshare(CloneFlags::CLONE_NEWNET).map_err(KernelError::call("unshare"))?;
            link::set_up(&mut Netlink::route()?, LOOPBACK)?;
            let (udp, tcp) = (UdpSocket::bind((RESOLVER, 0)).unwrap(), TcpListener::bind((RESOLVER, 0)).unwrap());
            let ports = (udp.local_addr().unwrap().port(), tcp.local_addr().unwrap().port());
            write_plain(&mut Netlink::netfilter()?, &table(ports.0, ports.1), &DNS_FAMILIES)?;
            let (client, long, mut buffer) = (client(), vec![7; 60_000], vec![0; 65_536]);
            client.send(&long).unwrap();
            let (got, from) = udp.recv_from(&mut buffer).unwrap();
            udp.send_to(&buffer[..got], from).unwrap();
            assert_eq!(client.recv(&mut buffer).unwrap(), long.len());
            let mut asking = TcpStream::connect(ASKED).unwrap();
            let (mut answering, _) = tcp.accept().unwrap();
            answering.write_all(&long).unwrap();
            drop(answering);
            let mut answer = Vec::new();
            asking.read_to_end(&mut answer).unwrap();
            assert_eq!(answer, long);
            drop((udp, tcp));
            client.send(b"?").unwrap();
            assert_eq!(client.recv(&mut buffer).unwrap_err().kind(), ErrorKind::ConnectionRefused, "over UDP");
            assert_eq!(TcpStream::connect(ASKED).unwrap_err().kind(), ErrorKind::ConnectionRefused, "over TCP");
            Ok(())
        });
        done.unwrap();
    }

    #[test]
    fn the_resolver_is_reached_and_missed_by_way_of_a_links_hook() {
        exchange(dns_table);
    }

    #[test]
    fn the_resolver_is_reached_and_missed_where_links_have_no_hooks() {
        exchange(dns_table_without_ingress);
    }
}
