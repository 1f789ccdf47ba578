//! One service per container, on sockets inside its network namespace: what it knows, and its TCP connections. Its
//! datagrams are answered by `datagrams.rs`.
//!
//! Who asks by TCP is rare. So a service can lend its listening socket to somebody who waits there for the container
//! anyway (its shim), and takes connections from there by a [`Door`]: one descriptor less in netd for each container.

use super::datagrams::Asked;
use super::forward::Found;
use super::lately::{Asked as Question, Lately};
use super::respond::{Response, Transport, fail, finish, found, respond};
use super::zone::View;
use super::{Shared, direct, read, write};
use crate::kernel::{Datagrams, namespace_of};
use hickory_proto::op::{Message, ResponseCode};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
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
    /// Its number among those whose datagrams are answered.
    number: Option<u64>,
    /// Absent while it is lent.
    listening: Option<(Arc<TcpListener>, AbortHandle)>,
}

/// Where a service takes connections that came by its listening socket elsewhere.
#[derive(Debug, Clone)]
pub struct Door(Weak<Context>);

/// What one container's questions are answered from, and their socket.
#[derive(Debug)]
struct Context {
    shared: Arc<Shared>,
    udp: std::net::UdpSocket,
    view: RwLock<View>,
    turn: AtomicUsize,
    lately: Lately,
    forwarded: Arc<Semaphore>,
    /// Absent once the service has ended.
    connections: Mutex<Option<Vec<Slot>>>,
}

/// A TCP connection, and when it last did something; one that waits for an answer from outside is at [`BUSY`].
#[derive(Debug)]
struct Slot {
    task: AbortHandle,
    last: Arc<AtomicU64>,
}

const BUSY: u64 = u64::MAX;

impl Service {
    /// Serves from now on. Sockets that can't be polled: the container gets no answers, as from a dead server.
    pub(super) fn start(shared: Arc<Shared>, udp: std::net::UdpSocket, tcp: std::net::TcpListener, view: View) -> Self {
        let context = Arc::new(Context {
            shared,
            udp,
            view: RwLock::new(view),
            turn: AtomicUsize::new(0),
            lately: Lately::default(),
            forwarded: Arc::new(Semaphore::new(MAX_FORWARDED)),
            connections: Mutex::new(Some(Vec::new())),
        });
        let number = context.shared.datagrams.add(&context).ok();
        let listener = tcp.set_nonblocking(true).and_then(|()| TcpListener::from_std(tcp)).ok();
        let listening = listener.map(|listener| {
            let listener = Arc::new(listener);
            let task = context.shared.runtime.spawn(serve_tcp(context.clone(), listener.clone()));
            (listener, task.abort_handle())
        });
        Self { context, number, listening }
    }

    /// Changes what the container sees, from the next question on.
    pub fn set_view(&self, view: View) {
        *write(&self.context.view) = view;
    }

    /// Hands the listening socket to somebody who accepts in our stead, until the end of the service, and who passes
    /// connections on through the door.
    pub fn lend(&mut self, give: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
        if let Some((listener, task)) = &self.listening {
            give(listener.as_fd())?;
            task.abort();
            self.listening = None;
        }
        Ok(())
    }

    /// See [`Door`].
    pub fn door(&self) -> Door {
        Door(Arc::downgrade(&self.context))
    }

    /// The container's last questions, oldest first.
    pub fn lately(&self) -> Vec<Question> {
        self.context.lately.all()
    }

    /// The network namespace that the sockets are in.
    pub fn namespace(&self) -> io::Result<OwnedFd> {
        namespace_of(self.context.udp.as_fd())
    }
}

impl Door {
    /// Serves a connection; after the service's end it is closed.
    pub fn let_in(&self, stream: OwnedFd) {
        let Some(context) = self.0.upgrade() else { return };
        let _inside = context.shared.runtime.enter();
        let stream = std::net::TcpStream::from(stream);
        if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
            serve_stream(&context, stream);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.context.shared.datagrams.remove(number, &*self.context);
        }
        if let Some((_, task)) = &self.listening {
            task.abort();
        }
        let mut connections = self.context.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.take().into_iter().flatten().for_each(|slot| slot.task.abort());
    }
}

/// The socket of its questions.
impl AsFd for Context {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.udp.as_fd()
    }
}

impl Asked for Context {
    fn answer(self: Arc<Self>, all: &mut Datagrams, addresses: &mut Vec<IpAddr>) -> io::Result<()> {
        let count = all.receive(self.udp.as_fd())?;
        let (zone, view) = (read(&self.shared.zone), read(&self.view));
        let (mut found, mut pen) = (0, self.lately.pen());
        for at in 0..count {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let (question, room) = all.question(at);
            if let Some(long) = direct::answer(question, &zone, &view, turn, addresses, room) {
                pen.note(&room[..long], false);
                all.answer(at, long);
                found += 1;
                continue;
            }
            match respond(question, &zone, &view, Transport::Udp, turn) {
                Response::Answer(bytes) => {
                    self.shared.metrics.local.bytes(&bytes);
                    pen.note(&bytes, false);
                    all.answer_with(at, &bytes);
                }
                Response::Drop => {}
                ask => {
                    let asking = ask_udp(self.clone(), ask, SocketAddr::V4(all.from(at)));
                    drop(self.shared.runtime.spawn(asking));
                }
            }
        }
        drop((zone, view, pen));
        // Once for all of them: the counter's cache line is not fetched for each.
        self.shared.metrics.local.found(found);
        all.send(self.udp.as_fd());
        Ok(())
    }
}

impl Context {
    fn respond(&self, bytes: &[u8], transport: Transport) -> Response {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let response = respond(bytes, &read(&self.shared.zone), &read(&self.view), transport, turn);
        if let Response::Answer(bytes) = &response {
            self.shared.metrics.local.bytes(bytes);
            self.lately.pen().note(bytes, false);
        }
        response
    }

    /// A number that grows.
    fn now(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed) as u64
    }

    /// Whether there is room for one more connection. If not, the connection that has been silent longest is closed.
    fn make_room(&self) -> bool {
        let mut all = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(all) = &mut *all else { return false };
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
        let answer = match response {
            Response::Forward(request) => self.forward(&request, transport).await,
            Response::Search(request) => self.search(&request, transport).await,
            done => return done,
        };
        if let Response::Answer(bytes) = &answer {
            self.shared.metrics.forwarded.bytes(bytes);
            self.lately.pen().note(bytes, true);
        }
        answer
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

async fn ask_udp(context: Arc<Context>, ask: Response, from: SocketAddr) {
    if let Response::Answer(bytes) = context.outside(ask, Transport::Udp).await {
        let _ = context.udp.send_to(&bytes, from);
    }
}

async fn serve_tcp(context: Arc<Context>, listener: Arc<TcpListener>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => serve_stream(&context, stream),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Serves a connection, in a task of its own; if all others are at work, it is closed at once.
fn serve_stream(context: &Arc<Context>, stream: TcpStream) {
    if !context.make_room() {
        return;
    }
    let last = Arc::new(AtomicU64::new(context.now()));
    let (shared, seen) = (context.clone(), last.clone());
    // A broken connection concerns only its container.
    let serving = async move { drop(serve_connection(&shared, stream, &seen).await) };
    let task = context.shared.runtime.spawn(serving).abort_handle();
    let mut connections = context.connections.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *connections {
        Some(connections) => connections.push(Slot { task, last }),
        // The service has ended meanwhile.
        None => task.abort(),
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
        let dns = Dns::new(DnsConfig::default(), Arc::default()).unwrap();
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

        let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
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
