//! What the kernel can't translate goes through netd: a small relay.
//!
//! ```text
//!   client ──▶ [::1]:8080 (netd listens) ──▶ container:80
//! ```
//!
//! Two cases. `[::1]`: the kernel has no route_localnet for IPv6. And a published port of a family in which the container
//! has no address. The client's address is the host's then. A relay ends with netd and comes back with it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinSet};

/// How long a UDP client's way back is kept without traffic.
const IDLE: Duration = Duration::from_secs(60);
/// UDP clients of one relay at a time.
const CLIENTS: usize = 1024;

/// A running relay; dropping it ends it and its connections.
#[derive(Debug)]
pub struct Relay(AbortHandle);

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Relay {
    /// Relays TCP from a listening socket to `to`.
    pub fn tcp(runtime: &Handle, listener: OwnedFd, to: SocketAddr) -> io::Result<Self> {
        let _inside = runtime.enter();
        let listener = TcpListener::from_std(listener.into())?;
        Ok(Self(runtime.spawn(accept(listener, to)).abort_handle()))
    }

    /// Relays UDP from a bound socket to `to`.
    pub fn udp(runtime: &Handle, socket: OwnedFd, to: SocketAddr) -> io::Result<Self> {
        let _inside = runtime.enter();
        let socket = Arc::new(UdpSocket::from_std(socket.into())?);
        Ok(Self(runtime.spawn(datagrams(socket, to)).abort_handle()))
    }
}

async fn accept(listener: TcpListener, to: SocketAddr) {
    // The set ends its tasks when this one is aborted.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => drop(connections.spawn(carry(client, to))),
            // Out of descriptors: a moment later there may be one.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn carry(mut client: TcpStream, to: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(to).await {
        // An error ends the connection on both sides, which is all there is to tell.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}

type Clients = Arc<Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>>;

async fn datagrams(socket: Arc<UdpSocket>, to: SocketAddr) {
    let clients = Clients::default();
    let mut answers = JoinSet::new();
    let mut buffer = vec![0; 65536];
    loop {
        while answers.try_join_next().is_some() {}
        let Ok((len, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let known = clients.lock().unwrap_or_else(PoisonError::into_inner).get(&from).cloned();
        let way = match known {
            Some(way) => way,
            None => {
                let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
                let Ok(way) = UdpSocket::bind(any).await else {
                    continue;
                };
                if way.connect(to).await.is_err() {
                    continue;
                }
                let way = Arc::new(way);
                let mut all = clients.lock().unwrap_or_else(PoisonError::into_inner);
                if all.len() >= CLIENTS {
                    continue;
                }
                all.insert(from, way.clone());
                drop(all);
                answers.spawn(answer(socket.clone(), way.clone(), from, clients.clone()));
                way
            }
        };
        // A lost datagram is a lost datagram.
        let _ = way.send(&buffer[..len]).await;
    }
}

async fn answer(socket: Arc<UdpSocket>, way: Arc<UdpSocket>, client: SocketAddr, clients: Clients) {
    let mut buffer = vec![0; 65536];
    while let Ok(Ok(len)) = tokio::time::timeout(IDLE, way.recv(&mut buffer)).await {
        if socket.send_to(&buffer[..len], client).await.is_err() {
            break;
        }
    }
    clients.lock().unwrap_or_else(PoisonError::into_inner).remove(&client);
}
