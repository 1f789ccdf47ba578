//! What wants more than a container of its own: systemd, browsers, other engines.
#![allow(clippy::unwrap_used)]

use tests::real::{Real, Row};

#[test]
fn systemd_as_process_1() {
    let real = Real::new("systemd", &["systemd"]);
    let start = "run -d --name box --privileged --tmpfs /run --tmpfs /run/lock --tmpfs /tmp -p 8080:80 systemd";
    real.ok(start);
    real.until("exec box sh -c 'timeout 50 systemctl is-system-running --wait; systemctl is-active dbus'", "active");
    real.row.saw("reaches its target with --privileged");
    real.until("exec box systemctl is-active nginx", "active");
    real.page(8080, "/", "nginx");
    real.row.saw("published port of a unit");
    real.ok("exec box systemd-run --wait --unit once -p MemoryMax=64M true");
    real.until("exec box journalctl -u once --no-pager", "Deactivated successfully");
    real.row.saw("units, journal, limits of its own");
    let began = std::time::Instant::now();
    real.ok("stop -t 30 box");
    assert!(began.elapsed().as_secs() < 25, "systemd was killed");
    assert_ne!(real.host.inspect("box", "/State/ExitCode"), 137);
    real.row.saw("stop is graceful");
    real.ok("start box");
    real.until("exec box systemctl is-active nginx", "active");
    real.row.saw("start after stop");
    real.ok("rm -f box");
    real.row.end();
}

#[test]
fn chromium_headless() {
    let real = Real::new("Chromium (headless)", &["chromium", "nginx"]);
    real.ok("network create app");
    real.ok("run -d --name web --network app nginx");
    let browse = "chromium-headless-shell --headless --disable-gpu --dump-dom http://web/";
    // As people run it in containers: without its own sandbox, as a user; and with the sandbox, which needs namespaces.
    let plain = real
        .ok(&format!("run --rm --network app --shm-size 512m -u 1000 -e HOME=/tmp chromium {} --no-sandbox", browse));
    assert!(plain.contains("Welcome to nginx!"), "{plain}");
    real.row.saw("a page by name with --no-sandbox, as a user");
    let boxed = real.ok(&format!(
        "run --rm --network app --shm-size 512m -u 1000 -e HOME=/tmp --cap-add SYS_ADMIN --security-opt seccomp=unconfined chromium {browse}"
    ));
    assert!(boxed.contains("Welcome to nginx!"), "{boxed}");
    real.row.saw("its own sandbox with seccomp=unconfined");
    real.ok("run --rm --shm-size 512m -u 1000 -e HOME=/tmp -w /tmp chromium chromium-headless-shell --no-sandbox --disable-gpu --screenshot --window-size=200,200 about:blank");
    real.row.saw("a screenshot");
    real.row.end();
}

#[test]
fn podman_nested() {
    let real = Real::new("Podman", &["podman"]);
    // A root of a few files, as an image of the inner engine.
    let script = "mkdir -p /t/bin /t/lib /t/lib64 && cp /bin/bash /t/bin/sh && cp $(ldd /bin/bash | grep -o \"/lib[^ ]*\") /t/lib/ && cp /lib64/ld-linux-x86-64.so.2 /t/lib64/ && \
                  tar -C /t -c . | podman import - tiny >/dev/null && podman run --rm --cgroups=disabled tiny /bin/sh -c \"echo inner-\\$((40+2))\"";
    let said = real.ok(&format!("run --rm --privileged -v storage:/var/lib/containers podman bash -c '{script}'"));
    assert!(said.contains("inner-42"), "{said}");
    real.row.saw("nested in --privileged, its storage in a volume");
    real.row.end();
}

#[test]
fn rcr_nested() {
    let real = Real { row: Row::own(), ..Real::new("rcr", &["podman"]) };
    let bin = tests::bin();
    let rootfs = tests::rootfs("alpine");
    real.ok(&format!(
        "run -d --name outer --privileged -v {}:/opt/rcr:ro -v {}:/alpine.tar.gz:ro -v state:/var/lib/rcr podman sleep 1000",
        bin.display(),
        rootfs.display()
    ));
    real.ok("exec outer /opt/rcr/rcr image import /alpine.tar.gz alpine");
    assert_eq!(real.ok("exec outer /opt/rcr/rcr run --rm alpine echo inner"), "inner");
    real.ok("exec outer /opt/rcr/rcr network create n");
    real.ok("exec outer /opt/rcr/rcr run -d --name c1 --network n -m 64m alpine sleep 1000");
    real.ok("exec outer /opt/rcr/rcr run --rm --network n alpine ping -c 1 -W 5 c1");
    real.row.saw("nested in --privileged: networks, names, limits");
    real.ok("exec outer /opt/rcr/rcr rm -f c1");
    let began = std::time::Instant::now();
    real.ok("rm -f outer");
    assert!(began.elapsed().as_secs() < 10, "the end took too long");
    real.row.end();
}
