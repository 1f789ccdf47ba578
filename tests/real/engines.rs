//! What wants more than a container of its own: systemd, browsers, other engines.
#![allow(clippy::unwrap_used)]

use tests::real::{Life, Real, Row};

#[test]
fn systemd_as_process_1() {
    let real = Real::new("systemd", &["systemd", "tools"]);
    let life = Life {
        name: "box",
        start: "--privileged -t --tmpfs /run --tmpfs /run/lock --tmpfs /tmp -v site:/srv -p 8080:80 systemd",
        memory: 512,
        ready: ("exec box systemctl is-active nginx", "active"),
        by_name: Some(("tools curl -sS http://box/", "nginx")),
        by_port: Some((8080, b"GET / HTTP/1.0\r\n\r\n", "nginx")),
        keep: Some("exec box sh -c 'systemd-run --wait sh -c \"echo kept > /srv/file\"'"),
        kept: Some(("exec box cat /srv/file", "kept")),
        // Its console is the terminal.
        log: Some("Reached target"),
        terminal: ("bash", "# ", "systemctl is-active nginx dbus", "active\r\nactive"),
        stops: Some((130, "Reached target")),
    };
    real.starts(&life);
    real.until("exec box sh -c 'timeout 50 systemctl is-system-running --wait; systemctl is-active dbus'", "active");
    real.row.saw("reaches its target with --privileged");
    real.ok("exec box systemd-run --wait --unit once -p MemoryMax=64M true");
    real.until("exec box journalctl -u once --no-pager", "Deactivated successfully");
    real.row.saw("units, journal, limits of its own");
    real.serves(&life);
    real.ok("stop -t 30 box");
    real.ok("start box");
    real.until("exec box systemctl is-active nginx", "active");
    real.row.saw("start after stop");
    real.ends(&life);
    real.row.end();
}

#[test]
fn chromium_headless() {
    let real = Real::new("Chromium (headless)", &["chromium", "nginx"]);
    real.ok("network create app");
    real.ok("run -d --name web --network app nginx");
    let browse = "chromium-headless-shell --headless --disable-gpu --dump-dom http://web/";
    // As people run it in containers: without its own sandbox, as a user; and with the sandbox, which needs namespaces.
    let plain =
        real.ok(&format!("run --rm --network app --shm-size 512m -u 1000 -e HOME=/tmp chromium {browse} --no-sandbox"));
    assert!(plain.contains("Welcome to nginx!"), "{plain}");
    real.row.saw("a page by name with --no-sandbox, as a user");
    let boxed = real.ok(&format!(
        "run --rm --network app --shm-size 512m -u 1000 -e HOME=/tmp --cap-add SYS_ADMIN --security-opt seccomp=unconfined chromium {browse}"
    ));
    assert!(boxed.contains("Welcome to nginx!"), "{boxed}");
    real.row.saw("its own sandbox with seccomp=unconfined");
    real.ok("run --rm --shm-size 512m -u 1000 -e HOME=/tmp -w /tmp chromium chromium-headless-shell --no-sandbox --disable-gpu --screenshot --window-size=200,200 about:blank");
    real.row.saw("a screenshot");
    // As a service that others drive.
    real.lives(&Life {
        name: "browser",
        // As process 1 it would not hear SIGTERM.
        start: "--init --shm-size 512m -p 9222:9222 -v profile:/profile chromium headless-shell --user-data-dir=/profile about:blank",
        memory: 1024,
        ready: ("logs browser", "DevTools listening"),
        by_name: Some(("nginx curl -sS -H 'Host: localhost' http://browser:9222/json/version", "webSocketDebuggerUrl")),
        by_port: Some((9222, b"GET /json/version HTTP/1.1\r\nHost: localhost\r\n\r\n", "webSocketDebuggerUrl")),
        keep: Some("exec browser sh -c 'ls /profile > /profile/kept'"),
        kept: Some(("exec browser cat /profile/kept", "DevToolsActivePort")),
        log: Some("DevTools listening"),
        terminal: ("bash", "# ", "chromium-headless-shell --no-sandbox --version", "Chromium 1"),
        stops: Some((143, "DevTools listening")),
    });
    real.row.end();
}

/// An engine in a privileged container, with a container of its own whose port is published twice. `ENGINE` stands for
/// the engine's command.
fn nested(real: &Real, start: &str, import: &str, engine: &str, more: &str) {
    let alpine = tests::rootfs("alpine");
    let inner = "sh -c 'echo the inner page > /tmp/index.html; exec httpd -f -h /tmp'";
    let get = "podman bash -c 'exec 3<>/dev/tcp/outer/80; echo -e \"GET / HTTP/1.0\\n\" >&3; cat <&3'";
    let life = Life {
        name: "outer",
        start: &format!(
            "--init --privileged -p 8080:80 -v {}:/alpine.tar.gz:ro {start} podman sh -c 'echo up; exec sleep 1000'",
            alpine.display()
        ),
        memory: 512,
        ready: ("logs outer", "up"),
        by_name: Some((get, "the inner page")),
        by_port: Some((8080, b"GET / HTTP/1.0\r\n\r\n", "the inner page")),
        kept: Some((&format!("exec outer {engine} run --rm {more} alpine echo inner"), "inner")),
        log: Some("up"),
        // A terminal in a terminal.
        terminal: (&format!("{engine} run --rm -it {more} alpine sh"), "# ", "stty size; tty", "30 100\r\n/dev/pts/"),
        stops: Some((143, "up")),
        ..Life::default()
    };
    real.starts(&life);
    real.ok(&format!("exec outer {import}"));
    real.ok(&format!("exec outer {engine} run -d --name web -p 80:80 {more} alpine {inner}"));
    real.row.saw("nested in --privileged, with published ports and terminals of its own");
    real.serves(&life);
    real.ends(&life);
    let began = std::time::Instant::now();
    real.ok("rm -f outer");
    assert!(began.elapsed().as_secs() < 10, "the end took too long");
}

#[test]
fn podman_nested() {
    let real = Real::new("Podman", &["podman"]);
    nested(
        &real,
        "-v storage:/var/lib/containers",
        "podman import -q /alpine.tar.gz alpine",
        "podman",
        "--cgroups=disabled",
    );
    real.row.end();
}

#[test]
fn rcr_nested() {
    let real = Real { row: Row::own(), ..Real::new("rcr", &["podman"]) };
    let rcr = "/opt/rcr/rcr";
    let start = format!("-v {}:/opt/rcr:ro -v state:/var/lib/rcr", tests::bin().display());
    nested(&real, &start, &format!("{rcr} image import /alpine.tar.gz alpine"), rcr, "-m 64m");
    real.ok(&format!("run -d --name outer --privileged {start} podman sleep 1000"));
    real.ok(&format!("exec outer {rcr} network create n"));
    real.ok(&format!("exec outer {rcr} run -d --name c1 --network n alpine sleep 1000"));
    real.ok(&format!("exec outer {rcr} run --rm --network n alpine ping -c 1 -W 5 c1"));
    real.row.saw("its own networks and names");
    real.row.end();
}
