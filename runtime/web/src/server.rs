//! The socket, the connections and their limits.

use crate::act::have_made;
use crate::answer::{self, Said};
use crate::feed::Feed;
use crate::figures::figures;
use crate::gate::{self, Refused, TOKEN_BYTES, Token};
use crate::look;
use crate::options::Options;
use crate::route::{Act, Asked, Look, asked};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rcr_base::{Doing, Error, Kind, Outcome, command};
use rcr_engine::explain;
use rcr_engine::instance::Instance;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections at once; a browser has six to one host.
const CONNECTIONS: usize = 64;
/// How long the head of a request may take, and a connection that nobody uses stays.
const HEAD: Duration = Duration::from_secs(15);
/// The most that a head may be, in bytes and in lines.
const HEAD_BYTES: usize = 16 << 10;
const HEAD_LINES: usize = 64;
/// Looks and changes at once.
const LOOKS: usize = 8;
const CHANGES: usize = 4;
/// How long a change may take before the page is told that it goes on.
const PATIENCE: Duration = Duration::from_secs(120);
/// From a failure to accept to the next attempt.
const PAUSE: Duration = Duration::from_millis(50);

/// A page that is served.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    app: Arc<App>,
}

/// What all connections share.
#[derive(Debug)]
struct App {
    instance: Instance,
    options: Options,
    token: Token,
    feed: Arc<Feed>,
    since: Instant,
    looks: Semaphore,
    changes: Semaphore,
}

impl Server {
    /// Listens on 127.0.0.1. Must be called within a tokio runtime.
    pub async fn start(options: Options) -> Outcome<Self> {
        let instance =
            Instance::open(&options.instance.root, &options.instance.run, options.instance.config.as_deref())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = TcpListener::bind(address).await.doing(|| format!("cannot listen on {address}"));
        let listener = listener.map_err(|error| error.hint("another `--port` may be free; 0 is any that is"))?;
        let mut random = [0; TOKEN_BYTES];
        let got = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
        if got.doing(|| "cannot make a token")? != random.len() {
            return Err(Error::new(Kind::System, "cannot make a token"));
        }
        let (looks, changes) = (Semaphore::new(LOOKS), Semaphore::new(CHANGES));
        let (feed, since) = (Feed::start(instance.clone())?, Instant::now());
        let token = Token::new(random);
        Ok(Self { listener, app: Arc::new(App { instance, options, token, feed, since, looks, changes }) })
    }

    /// Where the page is, with its token.
    pub fn address(&self) -> Outcome<String> {
        let address = self.listener.local_addr().doing(|| "cannot find out the port")?;
        Ok(format!("http://{address}/{}/", self.app.token.text()))
    }

    /// Serves for ever.
    pub async fn serve(self) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            // Who finds no room waits in the socket's queue.
            let Ok(place) = room.clone().acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let app = self.app.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request| {
                    let app = app.clone();
                    async move { Ok::<_, Infallible>(app.answer(request).await) }
                });
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new())
                    .header_read_timeout(HEAD)
                    .max_buf_size(HEAD_BYTES)
                    .max_headers(HEAD_LINES);
                // A connection that breaks concerns nobody else.
                drop(http.serve_connection(TokioIo::new(stream), answer).await);
                drop(place);
            });
        }
    }
}

impl App {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Said> {
        let (head, _) = request.into_parts();
        let path = match gate::enter(&self.token, &head.headers, head.uri.path()) {
            Ok(path) => path,
            Err(refused) => return turned_away(refused),
        };
        if path.is_empty() && !head.uri.path().ends_with('/') {
            // The page's own files are named from its folder.
            return answer::moved(&format!("/{}/", self.token.text()));
        }
        let has_body = head.headers.contains_key(TRANSFER_ENCODING)
            || head.headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
        if has_body {
            let error = Error::new(Kind::Invalid, "a request has no body here");
            return answer::refused(StatusCode::PAYLOAD_TOO_LARGE, &error);
        }
        let asked = match asked(&head.method, path, head.uri.query()) {
            Ok(Asked::Asset(asset)) => return answer::asset(asset),
            Ok(asked) => asked,
            Err(error) => return answer::failed(&error),
        };
        if let Err(refused) = gate::own_page(&head.headers, matches!(asked, Asked::Act(_))) {
            return turned_away(refused);
        }
        match asked {
            Asked::Asset(asset) => answer::asset(asset),
            Asked::Feed => match self.feed.listen() {
                Some(flow) => answer::flow(flow),
                None => answer::failed(&Error::new(Kind::Exhausted, "too many pages are open")),
            },
            Asked::Look(look) => self.look(look).await,
            Asked::Act(act) => self.act(act).await,
        }
    }

    /// Engine calls wait for others: each has a thread for its time, and there are so many and no more.
    async fn look(self: Arc<Self>, look: Look) -> Response<Said> {
        let app = self.clone();
        let Ok(_place) = self.looks.acquire().await else { return lost() };
        let looked = tokio::task::spawn_blocking(move || app.looked(&look));
        looked.await.unwrap_or_else(|_| lost())
    }

    fn looked(&self, look: &Look) -> Response<Said> {
        let (instance, since) = (&self.instance, self.since);
        match look {
            Look::About => answer::json(&look::about(instance, self.options.changes)),
            Look::Overview => said(look::overview(instance)),
            Look::Container(name) => said(look::container(instance, name)),
            Look::Log { name, tail, seen } => said(look::log(instance, name, *tail, seen.as_deref())),
            Look::Figures(name) => said(figures(instance, name.as_deref(), since)),
            Look::Network(name) => said(look::network(instance, name)),
            Look::Nodes => said(look::hosts(instance)),
            Look::Events => answer::json(&self.feed.last()),
            Look::Why { from, to, port } => said(explain::why(instance, from, to, *port)),
            Look::Check => said(explain::check(instance, false)),
        }
    }

    async fn act(self: Arc<Self>, act: Act) -> Response<Said> {
        if !self.options.changes {
            let refused = Error::new(Kind::Permission, "this page may only look");
            return answer::failed(&refused.hint(format!("start it with {}", command::web_with_changes())));
        }
        let app = self.clone();
        let made = tokio::spawn(async move {
            let Ok(_place) = app.changes.acquire().await else { return Err(ended()) };
            let inside = app.clone();
            let made = tokio::task::spawn_blocking(move || have_made(&inside.options, &act));
            made.await.unwrap_or_else(|_| Err(ended()))
        });
        match timeout(PATIENCE, made).await {
            Ok(made) => said(made.unwrap_or_else(|_| Err(ended()))),
            Err(_) => answer::failed(
                &Error::new(Kind::Unavailable, "the change is not done yet")
                    .caused_by(format!("it has taken {} s, and goes on", PATIENCE.as_secs())),
            ),
        }
    }
}

fn said(outcome: Outcome<impl serde::Serialize>) -> Response<Said> {
    outcome.map_or_else(|error| answer::failed(&error), |value| answer::json(&value))
}

fn turned_away(refused: Refused) -> Response<Said> {
    let status = if refused == Refused::NoToken { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
    answer::refused(status, &refused.error())
}

fn ended() -> Error {
    Error::new(Kind::System, "the thread that did it ended without an answer")
}

fn lost() -> Response<Said> {
    answer::failed(&ended())
}
