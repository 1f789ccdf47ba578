//! The loops: one service per container, on sockets inside its network namespace.

use super::forward::Found;
use super::respond::{Response, Transport, fail, finish, found, respond};
use super::zone::View;
use super::{Shared, read, write};
use hickory_proto::op::{Message, ResponseCode};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;

/// How many questions of one container may be under way outside. More are refused, so that one container can't starve
/// the others.
const MAX_FORWARDED: usize = 128;
/// TCP connections of one container, and how long one may be silent.
const MAX_CONNECTIONS: usize = 32;
const IDLE: Duration = Duration::from_secs(5);

/// One container's service; the drop ends it.
#[derive(Debug)]
pub struct Service {
    context: Arc<Context>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Context {
    shared: Arc<Shared>,
    view: RwLock<View>,
    turn: AtomicUsize,
    forwarded: Arc<Semaphore>,
    connections: Mutex<Vec<Slot>>,
}

/// A TCP connection, and when it last did something; one that waits for an answer from outside is at [`BUSY`].
#[derive(Debug)]
struct Slot {
    task: AbortHandle,
    last: Arc<AtomicU64>,
}

const BUSY: u64 = u64::MAX;

impl Service {
    pub(super) fn start(shared: Arc<Shared>, udp: std::net::UdpSocket, tcp: std::net::TcpListener, view: View) -> Self {
        let context = Arc::new(Context {
            shared,
            view: RwLock::new(view),
            turn: AtomicUsize::new(0),
            forwarded: Arc::new(Semaphore::new(MAX_FORWARDED)),
            connections: Mutex::default(),
        });
        let ready = udp.set_nonblocking(true).and_then(|()| tcp.set_nonblocking(true));
        let sockets = ready.and_then(|()| Ok((UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?)));
        let tasks = match sockets {
            Ok((udp, tcp)) => {
                vec![
                    tokio::spawn(serve_udp(context.clone(), Arc::new(udp))),
                    tokio::spawn(serve_tcp(context.clone(), tcp)),
                ]
            }
            // Sockets that can't be polled: the container gets no answers, as from a dead server.
            Err(_) => Vec::new(),
        };
        Self { context, tasks }
    }

    /// Changes what the container sees, from the next question on.
    pub fn set_view(&self, view: View) {
        *write(&self.context.view) = view;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        let connections = self.context.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.iter().for_each(|slot| slot.task.abort());
    }
}

impl Context {
    fn respond(&self, bytes: &[u8], transport: Transport) -> Response {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        respond(bytes, &read(&self.shared.zone), &read(&self.view), transport, turn)
    }

    /// A number that grows.
    fn now(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed) as u64
    }

    /// Whether there is room for one more connection. If not, the connection that has been silent longest is closed.
    fn make_room(&self) -> bool {
        let mut all = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|slot| !slot.task.is_finished());
        if all.len() < MAX_CONNECTIONS {
            return true;
        }
        let last = |slot: &Slot| slot.last.load(Ordering::Relaxed);
        let oldest = all.iter().enumerate().min_by_key(|(_, slot)| last(slot)).filter(|(_, slot)| last(slot) != BUSY);
        let Some(at) = oldest.map(|(at, _)| at) else { return false };
        all.swap_remove(at).task.abort();
        true
    }

    async fn search(&self, request: &Message, transport: Transport) -> Response {
        let Ok(_permit) = self.forwarded.try_acquire() else { return fail(request, ResponseCode::ServFail, transport) };
        let (search, servers) = {
            let view = read(&self.view);
            (view.search.clone(), view.servers.clone())
        };
        match self.shared.forwarder.search(request, &search, &servers).await {
            Ok(Found::Alias(outside)) => found(request, &outside, transport),
            Ok(Found::Bare(outside)) => finish(request, &outside, transport),
            Ok(Found::Nothing) => fail(request, ResponseCode::NXDomain, transport),
            Err(_) => fail(request, ResponseCode::ServFail, transport),
        }
    }

    /// Asks outside what has to be asked there.
    async fn outside(&self, response: Response, transport: Transport) -> Response {
        match response {
            Response::Forward(request) => self.forward(&request, transport).await,
            Response::Search(request) => self.search(&request, transport).await,
            done => done,
        }
    }

    async fn forward(&self, request: &Message, transport: Transport) -> Response {
        let Ok(_permit) = self.forwarded.try_acquire() else { return fail(request, ResponseCode::ServFail, transport) };
        let servers = read(&self.view).servers.clone();
        match self.shared.forwarder.ask(request, &servers).await {
            Ok(outside) => finish(request, &outside, transport),
            Err(_) => fail(request, ResponseCode::ServFail, transport),
        }
    }
}

async fn serve_udp(context: Arc<Context>, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0u8; 4096];
    loop {
        let (got, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // An ICMP error about an earlier answer (ECONNREFUSED) does not matter here.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
        };
        match context.respond(&buffer[..got], Transport::Udp) {
            Response::Answer(bytes) => drop(socket.send_to(&bytes, from).await),
            Response::Drop => {}
            ask => drop(tokio::spawn(ask_udp(context.clone(), socket.clone(), ask, from))),
        }
    }
}

async fn ask_udp(context: Arc<Context>, socket: Arc<UdpSocket>, ask: Response, from: SocketAddr) {
    if let Response::Answer(bytes) = context.outside(ask, Transport::Udp).await {
        let _ = socket.send_to(&bytes, from).await;
    }
}

async fn serve_tcp(context: Arc<Context>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            // All at work: closed at once.
            Ok((stream, _)) if context.make_room() => {
                let last = Arc::new(AtomicU64::new(context.now()));
                let (shared, seen) = (context.clone(), last.clone());
                // A broken connection concerns only its container.
                let task = tokio::spawn(async move { drop(serve_connection(&shared, stream, &seen).await) });
                let slot = Slot { task: task.abort_handle(), last };
                context.connections.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Questions of one connection, one after the other (RFC 7766).
async fn serve_connection(context: &Context, mut stream: TcpStream, last: &AtomicU64) -> std::io::Result<()> {
    loop {
        let question = timeout(IDLE, async {
            let len = stream.read_u16().await?;
            let mut bytes = vec![0u8; len.into()];
            stream.read_exact(&mut bytes).await?;
            std::io::Result::Ok(bytes)
        });
        let Ok(bytes) = question.await else { return Ok(()) };
        last.store(BUSY, Ordering::Relaxed);
        let response = context.outside(context.respond(&bytes?, Transport::Tcp), Transport::Tcp).await;
        last.store(context.now(), Ordering::Relaxed);
        let Response::Answer(answer) = response else { return Ok(()) };
        let len = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        let mut frame = len.to_be_bytes().to_vec();
        frame.extend_from_slice(&answer);
        timeout(IDLE, stream.write_all(&frame)).await??;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dns, DnsConfig, Endpoint};
    use super::*;
    use hickory_proto::op::Query;
    use hickory_proto::rr::{Name, RecordType};

    fn dns() -> (Dns, View) {
        let dns = Dns::new(DnsConfig::default());
        let network = "a".repeat(64).parse().unwrap();
        let endpoint = Endpoint {
            container: "1".repeat(64).parse().unwrap(),
            names: vec!["c1".into()],
            addresses: vec!["10.0.0.2".parse().unwrap()],
        };
        dns.set_endpoint(&network, "blue", endpoint);
        (dns, View { networks: vec![network], ..View::default() })
    }

    fn question() -> Vec<u8> {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii("c1.").unwrap(), RecordType::A));
        message.to_vec().unwrap()
    }

    #[tokio::test]
    async fn udp_and_tcp_are_served_until_the_drop() {
        let (dns, view) = dns();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (udp_at, tcp_at) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
        let service = dns.serve(udp, tcp, view);

        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(b"nonsense", udp_at).await.unwrap();
        client.send_to(&question(), udp_at).await.unwrap();
        let mut buffer = [0u8; 512];
        let got = timeout(IDLE, client.recv(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(Message::from_vec(&buffer[..got]).unwrap().answers.len(), 1);

        let mut stream = TcpStream::connect(tcp_at).await.unwrap();
        for _ in 0..2 {
            let bytes = question();
            stream.write_u16(bytes.len() as u16).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            let len = stream.read_u16().await.unwrap();
            let mut answer = vec![0u8; len.into()];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 1);
        }

        // More connections than there is room for, all of them silent: the next one is served.
        let mut silent = Vec::new();
        for _ in 0..MAX_CONNECTIONS + 8 {
            silent.push(TcpStream::connect(tcp_at).await.unwrap());
        }
        let mut stream = TcpStream::connect(tcp_at).await.unwrap();
        stream.write_u16(question().len() as u16).await.unwrap();
        stream.write_all(&question()).await.unwrap();
        assert!(timeout(Duration::from_secs(2), stream.read_u16()).await.unwrap().unwrap() > 0);

        service.set_view(View::default());
        client.send_to(&question(), udp_at).await.unwrap();
        let got = timeout(IDLE, client.recv(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(Message::from_vec(&buffer[..got]).unwrap().metadata.response_code, ResponseCode::NXDomain);

        drop(service);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(TcpStream::connect(tcp_at).await.is_err());
    }
}
