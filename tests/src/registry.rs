//! Registries: one of our own that misbehaves on demand, and Debian's docker-registry.

use crate::archive::gzip;
use crate::{Host, eventually};
use rcr_images::Digest;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A fault of one request for a blob, or for a manifest by its tag; each is used once, in order.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection closes after this many bytes.
    Cut(usize),
    /// Nothing more is sent after this many bytes.
    Stall(usize),
    /// One bit is flipped.
    Flip,
    /// Another status than 200.
    Status(u16),
    /// `Range` is ignored.
    NoRange,
    /// A document of this many MiB.
    Long(usize),
    /// 400 with this document.
    Says(String),
}

#[derive(Default)]
struct State {
    blobs: Mutex<HashMap<String, Vec<u8>>>,
    manifests: Mutex<HashMap<String, (String, Vec<u8>)>>,
    faults: Mutex<HashMap<String, Vec<Fault>>>,
    /// `METHOD target range`
    requests: Mutex<Vec<String>>,
    /// A token is needed.
    bearer: Mutex<Option<Bearer>>,
    end: AtomicBool,
}

/// How a registry gives tokens.
#[derive(Debug, Clone)]
struct Bearer {
    /// The user and password that get one, in base64; empty: anybody does.
    basic: String,
    /// The text after `WWW-Authenticate:`; `HOST` is the host.
    challenge: String,
    /// The answer of the token's server.
    token: String,
}

/// Our own registry in a host's namespace. It ends when dropped.
pub struct Fake {
    pub address: String,
    state: Arc<State>,
}

impl Fake {
    /// Listens on an address of the host: `127.0.0.1:5000`.
    pub fn start(host: &Host, address: &str) -> Self {
        let state = Arc::new(State::default());
        let own = address.to_owned();
        let listener = host.netns.inside(move || TcpListener::bind(own).expect("bind"));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.end.load(Ordering::Relaxed) {
                    return;
                }
                let shared = shared.clone();
                if let Ok(stream) = stream {
                    std::thread::spawn(move || drop(serve(&shared, stream)));
                }
            }
        });
        Self { address: address.to_owned(), state }
    }

    /// The requests so far: `GET /v2/… RANGE`.
    pub fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    /// How often a blob was requested.
    pub fn asked(&self, digest: &str) -> usize {
        self.requests().iter().filter(|line| line.starts_with("GET") && line.contains(digest)).count()
    }

    pub fn fault(&self, digest: &str, faults: &[Fault]) {
        self.state.faults.lock().unwrap().insert(digest.to_owned(), faults.to_vec());
    }

    /// From now on a token is needed, which this user and password get.
    pub fn need_bearer(&self, basic: &str) {
        self.challenge(basic, "Bearer realm=\"http://HOST/token\",service=\"fake\"", r#"{"token":"secret"}"#);
    }

    /// The same with a challenge of the test's own.
    pub fn challenge(&self, basic: &str, challenge: &str, token: &str) {
        let bearer = Bearer { basic: basic.into(), challenge: challenge.into(), token: token.into() };
        *self.state.bearer.lock().unwrap() = Some(bearer);
    }

    pub fn blob(&self, bytes: &[u8]) -> String {
        let digest = Digest::of(bytes).to_string();
        self.state.blobs.lock().unwrap().insert(digest.clone(), bytes.to_vec());
        digest
    }

    /// Stores a document under a tag and its digest.
    pub fn manifest(&self, tag: &str, media_type: &str, document: &Value) -> String {
        let bytes = serde_json::to_vec(document).unwrap();
        let digest = Digest::of(&bytes).to_string();
        let mut manifests = self.state.manifests.lock().unwrap();
        for name in [tag, &digest] {
            manifests.insert(name.to_owned(), (media_type.to_owned(), bytes.clone()));
        }
        digest
    }

    /// An image of tar layers, each packed by gzip; `change` may spoil manifest and config. Returns the digests of the
    /// packed layers.
    pub fn image(&self, tag: &str, layers: &[Vec<u8>], change: impl FnOnce(&mut Value, &mut Value)) -> Vec<String> {
        let packed: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
        let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
        let digests: Vec<String> = packed.iter().map(|layer| self.blob(layer)).collect();
        let layer = |(digest, bytes): (&String, &Vec<u8>)| json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": bytes.len() });
        let mut config = json!({
            "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/bin/sh"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": Value::Null,
            "layers": digests.iter().zip(&packed).map(layer).collect::<Vec<_>>(),
        });
        change(&mut manifest, &mut config);
        let bytes = serde_json::to_vec(&config).unwrap();
        if manifest["config"].is_null() {
            manifest["config"] = json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": self.blob(&bytes), "size": bytes.len() });
        }
        let media_type = manifest["mediaType"].as_str().unwrap_or(OCI_MANIFEST).to_owned();
        self.manifest(tag, &media_type, &manifest);
        digests
    }

    /// An image's name at this registry.
    pub fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }
}

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Drop for Fake {
    fn drop(&mut self) {
        self.state.end.store(true, Ordering::Relaxed);
    }
}

/// One request per connection.
fn serve(state: &State, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
    }
    let words: Vec<&str> = first.split_whitespace().collect();
    let (method, target) = (words.first().copied().unwrap_or(""), words.get(1).copied().unwrap_or(""));
    let range = headers.get("range").cloned().unwrap_or_default();
    state.requests.lock().unwrap().push(format!("{method} {target} {range}").trim().to_owned());
    // A proxy gets a whole URL.
    let path = target.strip_prefix("http://").map_or(target, |rest| &rest[rest.find('/').unwrap_or(0)..]);
    let authorization = headers.get("authorization").cloned().unwrap_or_default();
    if let Some(bearer) = state.bearer.lock().unwrap().clone() {
        if path.starts_with("/token") {
            return match bearer.basic.is_empty() || authorization == format!("Basic {}", bearer.basic) {
                true => answer(&mut stream, 200, "application/json", "", bearer.token.as_bytes()),
                false => answer(&mut stream, 401, "text/plain", "", b"no"),
            };
        }
        if authorization != "Bearer secret" {
            let host = headers.get("host").cloned().unwrap_or_default();
            let ask = format!("WWW-Authenticate: {}\r\n", bearer.challenge.replace("HOST", &host));
            return answer(&mut stream, 401, "application/json", &ask, b"{\"errors\":[{\"code\":\"UNAUTHORIZED\"}]}");
        }
    }
    let last = path.rsplit('/').next().unwrap_or("").to_owned();
    if path == "/v2/" {
        return answer(&mut stream, 200, "application/json", "", b"{}");
    }
    if path.contains("/manifests/") {
        let found = state.manifests.lock().unwrap().get(&last).cloned();
        match fault_of(state, &last) {
            Some(Fault::Status(code)) => return answer(&mut stream, code, "text/plain", "", b"not now"),
            Some(Fault::Says(text)) => return answer(&mut stream, 400, "application/json", "", text.as_bytes()),
            Some(Fault::Long(size)) => return long(&mut stream, size),
            _ => {}
        }
        return match found {
            Some((media_type, bytes)) => answer(&mut stream, 200, &media_type, "", &bytes),
            None => answer(&mut stream, 404, "application/json", "", b"{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}"),
        };
    }
    let found = state.blobs.lock().unwrap().get(&last).cloned();
    match found {
        Some(bytes) => blob(state, &mut stream, &last, bytes, &range),
        None => answer(&mut stream, 404, "application/json", "", b"{\"errors\":[{\"code\":\"BLOB_UNKNOWN\"}]}"),
    }
}

/// The next fault for this target.
fn fault_of(state: &State, what: &str) -> Option<Fault> {
    let mut faults = state.faults.lock().unwrap();
    faults.get_mut(what).filter(|all| !all.is_empty()).map(|all| all.remove(0))
}

/// A document of spaces.
fn long(stream: &mut TcpStream, size: usize) -> std::io::Result<()> {
    let (spaces, length) = (vec![b' '; 1 << 20], size << 20);
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {OCI_MANIFEST}\r\nContent-Length: {length}\r\n\r\n")?;
    (0..size).try_for_each(|_| stream.write_all(&spaces))
}

fn blob(state: &State, stream: &mut TcpStream, digest: &str, mut bytes: Vec<u8>, range: &str) -> std::io::Result<()> {
    let fault = fault_of(state, digest);
    if let Some(Fault::Status(code)) = fault {
        return answer(stream, code, "text/plain", "", b"not now");
    }
    if matches!(fault, Some(Fault::Flip)) {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }
    let whole = bytes.len();
    let from: usize = range.strip_prefix("bytes=").and_then(|r| r.split('-').next()?.parse().ok()).unwrap_or(0);
    let partial = from > 0 && !matches!(fault, Some(Fault::NoRange));
    let bytes = if partial { &bytes[from.min(whole)..] } else { &bytes[..] };
    let head = match partial {
        true => format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{whole}\r\n", whole - 1),
        false => "HTTP/1.1 200 OK\r\n".to_owned(),
    };
    write!(
        stream,
        "{head}Content-Type: application/octet-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        bytes.len()
    )?;
    match fault {
        Some(Fault::Cut(after)) => stream.write_all(&bytes[..after.min(bytes.len())]),
        Some(Fault::Stall(after)) => {
            stream.write_all(&bytes[..after.min(bytes.len())])?;
            for _ in 0..300 {
                if state.end.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        }
        _ => stream.write_all(bytes),
    }
}

fn answer(stream: &mut TcpStream, code: u16, kind: &str, more: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {code} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n"
    )?;
    stream.write_all(body)?;
    stream.flush()?;
    // The other side closes when it has read everything.
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let _ = stream.read(&mut [0; 64]);
    Ok(())
}

/// Debian's docker-registry in a host's namespace, on 127.0.0.1:5000. It ends when dropped.
pub struct Real {
    child: Child,
    pub name: &'static str,
    pub folder: PathBuf,
}

impl Real {
    /// `htpasswd`: the user and password that it requires.
    pub fn start(host: &Host, htpasswd: Option<(&str, &str)>) -> Self {
        let mut more = String::new();
        if let Some((user, password)) = htpasswd {
            let file = host.scratch().join("htpasswd");
            let line = host.netns.run(&format!("htpasswd -Bbn {user} {password}"));
            std::fs::write(&file, line).unwrap();
            more = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
        }
        Self::with(host, "localhost:5000", "addr: \"127.0.0.1:5000\"", &more)
    }

    /// With TLS, on all addresses; its self-signed certificate is for 198.51.100.1.
    pub fn with_tls(host: &Host) -> (Self, PathBuf) {
        let (key, certificate) = (host.scratch().join("key.pem"), host.scratch().join("certificate.pem"));
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=test", "-addext", "subjectAltName=IP:198.51.100.1"])
            // A certificate of an authority's own is not valid for a server.
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .expect("openssl is needed: make setup-test");
        assert!(output.status.success(), "{output:?}");
        let (key, file) = (key.display(), certificate.display());
        let http = format!("addr: \":5000\", tls: {{certificate: {file}, key: {key}}}");
        (Self::with(host, "198.51.100.1:5000", &http, ""), certificate)
    }

    fn with(host: &Host, name: &'static str, http: &str, more: &str) -> Self {
        let folder = host.scratch().join("registry");
        std::fs::create_dir_all(&folder).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{{http}}}\n{more}",
            folder.display()
        );
        let file = host.scratch().join("registry.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = host.netns.command("docker-registry");
        command.arg("serve").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("docker-registry is needed: make setup-test");
        eventually("the registry answers", || host.netns.tcp("127.0.0.1:5000", "GET /v2/ HTTP/1.0\r\n\r\n").is_ok());
        Self { child, name, folder }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A proxy for `CONNECT`, on an address of the host. Returns what was requested from it.
pub fn proxy(host: &Host, address: &str) -> Arc<Mutex<Vec<String>>> {
    let own = address.to_owned();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let shared = asked.clone();
    host.netns.inside(move || {
        let listener = TcpListener::bind(own).expect("bind");
        // A thread is in the namespace of the one that started it.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || drop(pass_through(stream, &shared)));
            }
        });
    });
    asked
}

fn pass_through(mut client: TcpStream, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let first = head.lines().next().unwrap_or_default().to_owned();
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(first);
    let mut server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(std::net::Shutdown::Write)
}
