//! The page: who may see it, what it shows, and what a click does. A real browser looks at it.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;
use tests::browser::Browser;
use tests::host::{exec, sleeper};
use tests::{Host, eventually};

/// A name that is markup, where names may be anything.
const HOSTILE: &str = "<img src=x onerror=document.title='owned'>";

/// A page that is served on a host.
struct Page {
    child: Child,
    address: String,
}

impl Page {
    fn start(host: &Host, flags: &[&str]) -> Self {
        let args = [&["web"], flags].concat();
        let mut child = host.command(&args).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().to_owned();
        assert!(address.starts_with("http://127.0.0.1:") && address.ends_with('/'), "{address:?}");
        Self { child, address }
    }

    fn port(&self) -> u16 {
        self.address.split([':', '/']).nth(4).unwrap().parse().unwrap()
    }

    fn token(&self) -> &str {
        self.address.split('/').nth(3).unwrap()
    }

    /// What a client says is sent as it is; the status and the rest of the answer.
    fn raw(&self, host: &Host, said: &str) -> (u16, String) {
        let (to, said) = (SocketAddr::from(([127, 0, 0, 1], self.port())), said.to_owned());
        let answer = host.netns.inside(move || {
            let mut stream = TcpStream::connect(to).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream.write_all(said.as_bytes()).unwrap();
            let mut answer = Vec::new();
            // A connection that is closed on us is an answer, too.
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8_lossy(&answer).into_owned()
        });
        (answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0), answer)
    }

    /// A request for a path behind the token, with further header lines.
    fn ask(&self, host: &Host, method: &str, path: &str, more: &str) -> (u16, String) {
        let (token, port) = (self.token(), self.port());
        self.raw(
            host,
            &format!("{method} /{token}/{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{more}\r\n"),
        )
    }

    fn get(&self, host: &Host, path: &str) -> (u16, Value) {
        let (code, answer) = self.ask(host, "GET", path, "");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (code, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn post(&self, host: &Host, path: &str) -> (u16, String) {
        self.ask(host, "POST", path, &format!("Origin: http://127.0.0.1:{}\r\nContent-Length: 0\r\n", self.port()))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn only_who_has_the_whole_address_sees_the_page() {
    let host = Host::bare();
    let page = Page::start(&host, &[]);
    let (token, port) = (page.token().to_owned(), page.port());
    assert!(token.len() >= 32, "{token}");
    let status = |head: &str| page.raw(&host, &format!("{head}\r\nConnection: close\r\n\r\n")).0;
    let here = format!("Host: 127.0.0.1:{port}");
    assert_eq!(status(&format!("GET /{token}/ HTTP/1.1\r\n{here}")), 200);
    assert_eq!(status(&format!("GET /{token}/ HTTP/1.1\r\nHost: localhost:9999")), 200, "through a tunnel");
    assert_eq!(status(&format!("GET /{token} HTTP/1.1\r\n{here}")), 308, "its files are below it");
    assert_eq!(status(&format!("GET / HTTP/1.1\r\n{here}")), 401);
    let other: String = token.chars().rev().collect();
    for wrong in ["favicon.ico", &other, &token[..token.len() - 1], &format!("{token}x")] {
        for path in ["", "api/overview", "main.js"] {
            assert_eq!(status(&format!("GET /{wrong}/{path} HTTP/1.1\r\n{here}")), 403, "{wrong}/{path}");
        }
    }
    // A foreign name that leads here, or none at all.
    for foreign in ["Host: example.org", "Host: 127.0.0.1.example.org:80", "X: y", "Host: a\r\nHost: localhost"] {
        let code = status(&format!("GET /{token}/api/overview HTTP/1.1\r\n{foreign}"));
        assert!([400, 403].contains(&code), "{foreign}: {code}");
    }
    for (more, code) in [
        ("Origin: http://example.org", 403),
        ("Origin: null", 403),
        ("Sec-Fetch-Site: cross-site", 403),
        ("Sec-Fetch-Site: same-origin", 200),
    ] {
        assert_eq!(page.ask(&host, "GET", "api/about", &format!("{more}\r\n")).0, code, "{more}");
    }
    let (_, answer) = page.ask(&host, "GET", "", "");
    for header in [
        "content-security-policy: default-src 'none';",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
    ] {
        assert!(answer.contains(header), "{answer}");
    }
    // Nobody else's address is listened on.
    let listening = host.netns.run("ss -Hltn");
    let own: Vec<&str> = listening.lines().filter_map(|line| line.split_whitespace().nth(3)).collect();
    assert_eq!(own, [format!("127.0.0.1:{port}")], "{listening}");
}

#[test]
fn hostile_requests_are_refused_and_hold_up_nobody() {
    let host = Host::bare();
    let page = Page::start(&host, &[]);
    let long = "x".repeat(100_000);
    for (said, codes) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), [400, 414, 431]),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"), [400, 431, 431]),
        ("nonsense\r\n\r\n".to_owned(), [400, 400, 400]),
    ] {
        let (code, answer) = page.raw(&host, &said);
        assert!(codes.contains(&code) || answer.is_empty(), "{code} {answer:.200}");
    }
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let (code, _) = page.ask(&host, "GET", "", &many);
    assert!([0, 400, 431].contains(&code), "{code}");
    assert_eq!(page.ask(&host, "GET", "", "Content-Length: 5\r\n").0, 413);
    assert_eq!(page.ask(&host, "DELETE", "api/overview", "").0, 400);
    for path in ["../../etc/passwd", "%2e%2e/x", "api/containers/%2e%2e%2fx", "api/containers/%00", "api/nothing"] {
        let (code, answer) = page.ask(&host, "GET", path, "");
        assert!([400, 404].contains(&code), "{path}: {answer}");
    }
    // Connections that say nothing: there is room for others.
    let to = SocketAddr::from(([127, 0, 0, 1], page.port()));
    let silent = host.netns.inside(move || (0..40).map(|_| TcpStream::connect(to).unwrap()).collect::<Vec<_>>());
    assert_eq!(page.get(&host, "api/about").0, 200);
    drop(silent);
}

#[test]
fn the_page_only_looks_unless_changes_are_allowed() {
    let host = Host::new();
    sleeper(&host, "c1", &[]);
    let page = Page::start(&host, &[]);
    let (code, said) = page.post(&host, "api/containers/c1/stop");
    assert!(code == 403 && said.contains("rcr web --allow-changes"), "{code} {said}");
    assert_eq!(host.inspect("c1", "/State/Status"), "running");
    drop(page);
    let page = Page::start(&host, &["--allow-changes"]);
    // Another page, or a link, changes nothing.
    for (method, more) in [("POST", ""), ("POST", "Origin: http://example.org\r\n"), ("GET", "")] {
        let (code, _) = page.ask(&host, method, "api/containers/c1/stop", &format!("{more}Content-Length: 0\r\n"));
        assert!([403, 404].contains(&code), "{method} {more} {code}");
    }
    assert_eq!(host.inspect("c1", "/State/Status"), "running");
    assert_eq!(page.post(&host, "api/containers/c1/stop").0, 200);
    assert_eq!(host.inspect("c1", "/State/Status"), "exited");
    assert_eq!(page.post(&host, "api/containers/c1/start").0, 200);
    host.await_status("c1", "running");
    assert_eq!(page.post(&host, "api/containers/c1/restart").0, 200);
    host.ok(&["network", "create", "blue"]);
    assert_eq!(page.post(&host, "api/networks/blue/connect/c1").0, 200);
    assert!(!host.address("c1", "blue").is_empty());
    assert_eq!(page.post(&host, "api/networks/blue/disconnect/c1").0, 200);
    let (code, said) = page.post(&host, "api/containers/c1/remove");
    assert!(code == 409 && said.contains("it is running"), "{code} {said}");
    page.post(&host, "api/containers/c1/stop");
    assert_eq!(page.post(&host, "api/containers/c1/remove").0, 200);
    assert_eq!(host.ok(&["ps", "-aq"]), "");
    assert_eq!(page.post(&host, "api/containers/nobody/start").0, 404);
}

#[test]
fn a_container_that_the_page_has_started_outlives_it() {
    let host = Host::new();
    host.ok(&["create", "--name", "c1", "alpine", "sleep", "1000"]);
    let mut page = Page::start(&host, &["--allow-changes"]);
    assert_eq!(page.post(&host, "api/containers/c1/start").0, 200);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(page.child.id() as i32), nix::sys::signal::Signal::SIGINT)
        .unwrap();
    assert!(page.child.wait().unwrap().success(), "Ctrl-C ends it in order");
    assert_eq!(host.inspect("c1", "/State/Status"), "running");
    assert_eq!(exec(&host, "c1", "echo up"), "up");
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let host = Host::bare();
    let page = Page::start(&host, &[]);
    let said = host.refused(&["web", "--port", &page.port().to_string()]);
    assert!(said.contains("(EADDRINUSE)") && said.contains("hint: "), "{said}");
    assert!(host.refused(&["web", "--port", "65536"]).contains("65536"));
}

/// Two networks, a published port, names that were asked for, a container that has ended, and hostile texts.
fn town() -> Host {
    let host = Host::new();
    for network in ["blue", "green"] {
        host.ok(&["network", "create", network]);
    }
    let serve = "echo hello > /tmp/index.html; exec httpd -f -h /tmp";
    host.ok(&["run", "-d", "--name", "web", "--network", "blue", "-p", "8080:80", "alpine", "sh", "-c", serve]);
    sleeper(&host, "app", &["--network", "blue", "--label", &format!("x={HOSTILE}")]);
    sleeper(&host, "db", &["--network", "green"]);
    host.ok(&["network", "connect", "green", "app"]);
    let noise = format!("echo first; echo \"{HOSTILE}\"; printf '\\033[31mred\\033[0m\\n' >&2; sleep 1000");
    host.ok(&["run", "-d", "--name", "noisy", "--network", "none", "alpine", "sh", "-c", &noise]);
    host.ok(&["run", "--name", "ended", "alpine", "sh", "-c", "exit 0"]);
    exec(&host, "app", "nslookup web; nslookup no.such.name.example; true");
    host
}

#[test]
fn the_topology_is_clicked_and_asked() {
    let host = town();
    let page = Page::start(&host, &[]);
    let mut browser = Browser::start(&host);
    browser.open(&page.address);
    for text in ["blue", "green", "web", "app", "db", "Outside", "NAT", ":8080 → 80"] {
        browser.sees(text);
    }
    browser.click(".chip", "app");
    browser.sees_in(".panel", "alpine");
    // It is on two networks: a line joins its places.
    browser.until("document.querySelectorAll('.wires .same').length === 1");
    browser.press("Escape");
    browser.until("document.querySelector('.panel.idle')");
    // Two clicks ask.
    browser.click(".tools button", "Ask why");
    browser.click(".chip", "web");
    browser.click(".chip", "db");
    browser.sees_in(".panel .verdict", "web does not reach db");
    browser.until("document.querySelectorAll('.wires .way').length > 0 && document.querySelector('.mark.broken')");
    browser.until("document.querySelectorAll('.panel .hops li.broken .repair code').length > 0");
    // By keys alone: `w` on one, `w` on another.
    browser.press("Escape");
    browser.value("document.querySelector('.chip[tabindex=\"0\"]').focus()");
    browser.press("Home");
    assert!(browser.focus().starts_with("Outside"), "{}", browser.focus());
    browser.press("w");
    for _ in 0..20 {
        if browser.focus().starts_with("web") {
            break;
        }
        browser.press("ArrowRight");
    }
    browser.press("w");
    browser.sees_in(".panel .verdict", "outside reaches web");
    browser.press("Enter");
    browser.sees_in("h1", "web");
    browser.is_content();
}

#[test]
fn the_topology_lives() {
    let host = town();
    let page = Page::start(&host, &[]);
    let mut browser = Browser::start(&host);
    browser.open(&page.address);
    browser.sees("web");
    sleeper(&host, "newcomer", &["--network", "green"]);
    browser.sees_in(".chip", "newcomer");
    host.ok(&["rm", "-f", "newcomer"]);
    browser.until("![...document.querySelectorAll('.chip')].some((el) => el.innerText.includes('newcomer'))");
    // A word that no hexadecimal number has: names of links are searched, too.
    browser.click("#search", "");
    browser.types("web");
    browser.until("document.querySelectorAll('.chip').length === 1");
    // The program goes: the page says so.
    drop(page);
    browser.sees("does not answer");
}

#[test]
fn a_container_s_page_shows_its_life_and_its_log() {
    let host = town();
    let page = Page::start(&host, &[]);
    let mut browser = Browser::start(&host);
    browser.open(&page.address);
    browser.click("nav a", "Containers");
    browser.sees_in("td", "exited (0)");
    browser.click("th button", "Name");
    browser.until("document.querySelector('tbody tr').innerText.startsWith('app')");
    browser.click("td a", "noisy");
    for text in ["first", HOSTILE, "red", "Life", "inspect"] {
        browser.sees(text);
    }
    browser.sees_in(".log .err", "red");
    browser.until("document.querySelectorAll('.figure').length === 4");
    assert_ne!(browser.value("document.title"), "owned");
    assert_eq!(browser.value("document.querySelectorAll('main img').length"), 0);
    // Lines that come are shown; what is searched for alone.
    host.ok(&["exec", "noisy", "sh", "-c", "echo later > /proc/1/fd/1"]);
    browser.sees_in(".log", "later");
    browser.click("#log-search", "");
    browser.types("later");
    browser.until("document.querySelectorAll('.log li').length === 1");
    browser.click("summary", "inspect");
    browser.sees_in(".raw", "\"NetworkSettings\"");
    // A label that is markup.
    browser.click(".crumbs a", "Containers");
    browser.click("td a", "app");
    browser.click("summary", "Labels");
    browser.sees_in("pre", HOSTILE);
    assert!(browser.value("document.querySelector('.actions button')").is_null(), "it only looks");
    browser.is_content();
}

#[test]
fn a_network_s_page_shows_addresses_rules_and_questions() {
    let host = town();
    let page = Page::start(&host, &[]);
    let mut browser = Browser::start(&host);
    browser.open(&page.address);
    browser.click("nav a", "Networks");
    browser.click("button", "Check all networks");
    browser.sees("All is as it was made");
    browser.click("td a", "blue");
    for text in ["Pools of addresses", "in use", "0.0.0.0:8080", "Rules that count", "Last DNS queries"] {
        browser.sees(text);
    }
    let address = host.address("app", "blue");
    browser.sees_in("td", &address);
    browser.sees_in("td", "no.such.name.example");
    browser.sees_in("td", "NOERROR");
    browser.click("th button", "Container");
    browser.click("td a", "app");
    browser.sees_in("h1", "app");
    browser.is_content();
}

#[test]
fn ports_hosts_events_and_why_have_a_page_each() {
    let host = town();
    let page = Page::start(&host, &[]);
    let mut browser = Browser::start(&host);
    browser.open(&page.address);
    browser.click("nav a", "Ports");
    browser.sees_in("td", "0.0.0.0:8080 → 80/tcp");
    browser.click("td a", "from outside");
    browser.sees_in(".verdict", "outside reaches web, TCP 80");
    browser.click("nav a", "Hosts");
    browser.sees("This host is in no cluster");
    browser.click("nav a", "Events");
    browser.sees_in(".events li", "create");
    host.ok(&["volume", "create", "just-now"]);
    browser.sees_in(".events li", "just-now");
    browser.click("nav a", "Why");
    browser.until("document.activeElement.id === 'why-from'");
    browser.types("app");
    browser.press("Tab");
    browser.types("web");
    browser.press("Enter");
    browser.sees_in(".verdict", "app reaches web");
    browser.value("document.getElementById('why-to').select()");
    browser.click("#why-to", "");
    browser.value("document.getElementById('why-to').select()");
    browser.types("no such name");
    browser.press("Enter");
    browser.sees_in(".verdict", "does not reach no such name");
    browser.is_content();
}

#[test]
fn the_page_speaks_korean_and_changes_with_a_click() {
    let host = town();
    let page = Page::start(&host, &["--allow-changes"]);
    let mut browser = Browser::start(&host);
    browser.language("ko-KR,ko");
    browser.open(&page.address);
    browser.sees("토폴로지");
    assert_eq!(browser.value("document.documentElement.lang"), "ko");
    browser.click("#language", "English");
    browser.sees("Topology");
    browser.click("nav a", "Containers");
    browser.click("td a", "db");
    browser.click(".actions button", "Stop");
    browser.click(".actions button", "Click again to do it");
    browser.click(".actions button", "Start");
    host.await_status("db", "running");
    browser.click(".actions button", "Connect");
    eventually("db is on blue", || host.inspect("db", "/NetworkSettings/Networks").get("blue").is_some());
    browser.is_content();
}

#[test]
fn everything_is_reached_by_keys_and_named_for_a_screen_reader() {
    let host = town();
    let page = Page::start(&host, &[]);
    let mut browser = Browser::start(&host);
    for view in ["map", "containers", "containers/web", "networks", "networks/blue", "ports", "hosts", "events", "why"]
    {
        browser.open(&format!("{}#/{view}", page.address));
        browser.until("document.querySelector('main h1')");
        let nameless = browser.value(
            "[...document.querySelectorAll('button, a, input, select')].filter((el) => el.offsetParent && !(el.innerText.trim() || \
             el.getAttribute('aria-label') || el.labels?.length || el.title)).map((el) => el.outerHTML)",
        );
        assert_eq!(nameless, serde_json::json!([]), "{view}");
        let twice = browser.value(
            "(() => { const all = [...document.querySelectorAll('[id]')].map((el) => el.id); return all.filter((id, at) => all.indexOf(id) !== at); })()",
        );
        assert_eq!(twice, serde_json::json!([]), "{view}");
        assert_eq!(browser.value("document.querySelectorAll('h1').length"), 1, "{view}");
    }
    browser.open(&page.address);
    browser.press("Tab");
    assert_eq!(browser.focus(), "Skip to the content");
    browser.press("Enter");
    assert_eq!(browser.value("document.activeElement.id"), "main");
    browser.press("/");
    assert_eq!(browser.value("document.activeElement.id"), "search");
    // Of the topology one place is a stop of Tab.
    assert_eq!(browser.value("document.querySelectorAll('.world [data-node][tabindex=\"0\"]').length"), 1);
    browser.is_content();
}
