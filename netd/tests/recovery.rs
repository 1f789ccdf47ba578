//! netd dies, others interfere: traffic goes on, netd comes back, nothing is left.

// Kills and forks by number.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::lab::*;
use netd_api::*;
use rcr_base::FrameError;
use std::os::linux::net::SocketAddrExt;

#[test]
fn a_foreign_flush_changes_nothing() {
    for plain in [false, true] {
        let env: &[(&str, &str)] = if plain { &[("NETD_PLAIN_TABLES", "1")] } else { &[] };
        let mut lab = Lab::with_env(env);
        let web = lab.container_with("web", "bridge", |spec| spec.publish = vec![publish(8080, 80)]);
        let _server = Server::tcp(&web.netns, "0.0.0.0:80");
        let rules = |lab: &Lab| {
            lab.ruleset("list table inet rcr").lines().filter(|l| !l.contains("counter")).collect::<String>()
        };
        let table = rules(&lab);
        lab.host.sh("nft flush ruleset");
        eventually("the table is back", || rules(&lab) == table);
        let fetched = lab.outside.fetch(&format!("{HOST}:8080"));
        assert!(fetched.is_ok(), "{fetched:?}\n{}", lab.log());
        // A flush tells of every rule that goes: it is one change all the same.
        let times = lab.log().matches("writing it again").count();
        assert_eq!(times, usize::from(plain), "{}", lab.log());
    }
}

#[test]
fn kill_9_interrupts_nothing_and_a_restart_adopts() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let web = lab.container_with("web", "bridge", |spec| spec.publish = vec![publish(8080, 80)]);
    let other = lab.container("other", "bridge");
    let server = Server::tcp(&web.netns, "0.0.0.0:80");
    lab.kill();
    assert!(lab.outside.fetch(&format!("{HOST}:8080")).is_ok(), "without netd");
    assert!(other.netns.ping(web.ip(false)));
    lab.host.sh("nft list table inet rcr");
    lab.start();
    let Reply::Sandboxes(all) = lab.call(Call::SandboxList) else { panic!() };
    assert_eq!(all.len(), 2, "{}", lab.log());
    assert_eq!(all.iter().find(|s| s.name == "web").unwrap(), &web.info);
    assert!(lab.outside.fetch(&format!("{HOST}:8080")).is_ok());
    assert!(lab.host.fetch("[::1]:8080").is_ok(), "the relay is back");
    assert!(lab.host.run(|| std::net::TcpListener::bind("0.0.0.0:8080").map(drop)).is_err(), "the port is held again");
    let error = lab.try_container("late", "bridge", |spec| spec.publish = vec![publish(8080, 80)]).err().unwrap();
    assert!(causes(&error).contains("published by container `web`"), "{error:?}");
    let third = lab.container("third", "bridge");
    assert!(third.netns.ping(web.ip(false)));
    assert_ne!(third.ip(false), other.ip(false));
    drop(server);
    for container in [web, other, third] {
        lab.end(container);
    }
    lab.clean(&before);
}

#[test]
fn containers_that_ended_while_netd_was_away_are_released() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let a = lab.container("a", "bridge");
    lab.kill();
    drop(a);
    lab.start();
    let Reply::Sandboxes(all) = lab.call(Call::SandboxList) else { panic!() };
    assert!(all.is_empty(), "{all:?}");
    lab.clean(&before);
}

#[test]
fn a_sandbox_that_nobody_holds_ends_with_its_connection() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let spec = sandbox_spec("a", "bridge", |_| {});
    let (reply, fds) = lab.request(Call::SandboxCreate { spec, dry_run: false }).unwrap();
    assert!(matches!(reply, Reply::Sandbox(_)));
    drop(fds);
    lab.hang_up();
    lab.clean(&before);
}

#[test]
fn a_namespace_that_somebody_keeps_loses_its_link() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let a = lab.container("a", "bridge");
    let kept = a.netns.clone();
    lab.end(a);
    lab.clean(&before);
    assert!(!kept.sh("ip link").contains("eth0"));
}

#[test]
fn a_deleted_bridge_comes_back() {
    let mut lab = Lab::new();
    let net = lab.network("blue");
    let bridge = net.interface.unwrap();
    let (a, b) = (lab.container("a", "blue"), lab.container("b", "blue"));
    lab.host.sh(&format!("ip link del {bridge}"));
    eventually("the bridge is back", || a.netns.ping(OUTSIDE));
    assert!(a.netns.ping(b.ip(false)));
}

/// Crashes netd at every op of a run of its life, before and after the effect; each time a restart must leave nothing.
#[test]
fn a_crash_at_any_op_leaves_nothing() {
    let mut lab = Lab::bare();
    lab.start();
    lab.kill();
    let before = lab.dump();
    for when in ["", ":after"] {
        let mut at = 0;
        loop {
            lab.start_with(&[("NETD_FAILPOINT".into(), format!("{at}:abort{when}"))]);
            let ended = life(&mut lab);
            let crashed = lab.crashed();
            assert_eq!(ended.is_err(), crashed, "at {at}{when}: {ended:?}");
            if !crashed {
                lab.kill();
            }
            lab.start_with(&[]);
            if let Ok(true) = has_network(&mut lab) {
                lab.call(Call::NetworkRemove { network: "sweep".into() });
            }
            lab.clean(&before);
            let Reply::Sandboxes(all) = lab.call(Call::SandboxList) else { panic!() };
            assert!(all.is_empty());
            lab.kill();
            if !crashed {
                break;
            }
            at += 1;
        }
        assert!(at > 30, "the sweep saw {at} ops only");
    }
}

/// The same with an error instead of a crash: the call fails, and its part is undone.
#[test]
fn an_error_at_any_op_is_undone() {
    let mut lab = Lab::bare();
    lab.start();
    lab.kill();
    let before = lab.dump();
    for at in 0..60 {
        lab.start_with(&[("NETD_FAILPOINT".into(), format!("{at}:error"))]);
        // The life may fail or, where an undo failed, say what is left; a restart then removes it.
        let _ = life(&mut lab);
        lab.kill();
        lab.start_with(&[]);
        if let Ok(true) = has_network(&mut lab) {
            lab.call(Call::NetworkRemove { network: "sweep".into() });
        }
        lab.clean(&before);
        lab.kill();
    }
}

/// An undoing that fails, wherever it does, is named with the command that finishes it, and finished by itself: by this netd, or by the next.
#[test]
fn what_could_not_be_undone_is_tried_again_until_it_is_gone() {
    let mut lab = Lab::bare();
    lab.start();
    lab.kill();
    let before = lab.dump();
    for killed in [false, true] {
        let mut owed = 0;
        for at in 0.. {
            lab.start();
            lab.network("sweep");
            lab.kill();
            lab.start_with(&[("NETD_FAILPOINT".into(), format!("{at}:error"))]);
            let said = lab.log().len();
            let removed = lab.try_call(Call::NetworkRemove { network: "sweep".into() });
            let (log, met) = (lab.log(), "stopped by a failpoint");
            if let Err(error) = &removed {
                assert!(error.left_behind.iter().all(|one| one.contains("remove it with `")), "{error:?}");
                assert!(log[said..].contains("left behind, to be tried again"), "{log}");
                owed += 1;
            } else if !log.contains(met) {
                lab.kill();
                break;
            }
            if killed {
                lab.kill();
                lab.start();
            }
            if removed.is_err() {
                eventually("it is paid", || lab.log().contains("had left behind is gone now"));
            }
            lab.clean(&before);
            lab.kill();
            lab.forget_log();
        }
        assert!(owed > 8, "the sweep saw {owed} undoings only");
    }
}

/// A container's links go with its namespace. Somebody keeps that, and netd dies before it would look after them.
#[test]
fn links_of_a_namespace_that_somebody_keeps_go_though_netd_died_on_the_way() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let a = lab.container("a", "bridge");
    let kept = lab.end_but_keep(a);
    lab.kill();
    assert!(lab.host.sh("ip -br link").contains("ve"), "the pair is there");
    lab.start();
    lab.clean(&before);
    drop(kept);
}

fn has_network(lab: &mut Lab) -> Result<bool, FrameError> {
    Ok(matches!(lab.request(Call::NetworkInspect { network: "sweep".into() })?.0, Reply::Network(_)))
}

/// A network, a container with everything, another network live, and back. `Err` when netd went away or refused.
fn life(lab: &mut Lab) -> Result<(), String> {
    let mut call = |call: Call| match lab.request(call) {
        Ok((Reply::Error(error), _)) => Err(causes(&error)),
        Ok(other) => Ok(other),
        Err(error) => Err(error.to_string()),
    };
    let spec = network_spec("sweep", |spec, options| {
        spec.ipv6 = true;
        options.icc = false;
    });
    call(Call::NetworkCreate { spec, dry_run: false })?;
    let spec = sandbox_spec("a", "sweep", |spec| {
        spec.publish = vec![publish(8080, 80), PublishRequest { proto: Proto::Udp, ..publish(5353, 53) }];
        spec.host_gateway = true;
    });
    let id = spec.id.clone();
    let (_, _netns) = call(Call::SandboxCreate { spec, dry_run: false })?;
    let attachment = AttachmentRequest { gw_priority: 1, ..AttachmentRequest::to("bridge") };
    call(Call::Connect { id: id.clone(), attachment })?;
    call(Call::Disconnect { id: id.clone(), network: "bridge".into() })?;
    let change = NetworkChange { mtu: Some(1300), ..NetworkChange::default() };
    call(Call::NetworkUpdate { network: "sweep".into(), change, dry_run: false })?;
    call(Call::SandboxRelease { id })?;
    call(Call::NetworkRemove { network: "sweep".into() })?;
    Ok(())
}

/// Every kind of op there is, by its name: a crash before it and after it, and a restart that leaves nothing.
#[test]
fn every_kind_of_op_is_in_the_sweep() {
    let mut lab = Lab::bare();
    lab.start();
    lab.kill();
    let before = lab.dump();
    // Those of a tunnel need a cluster: tests/suites/overlay.rs sweeps them, and tests/vm/scenarios/encrypted those of WireGuard.
    let tunnel = |name: &str| ["vxlan", "forward", "flood", "neighbour", "wireguard", "wireguard_peer"].contains(&name);
    // This kernel may lack them; the lab of virtual machines does not (tests/vm/scenarios/failpoints).
    let elsewhere =
        |name: &str| ["vlan", "dummy"].contains(&name) && !try_sh(&format!("ip link add probe type {name}")).0;
    for name in netd_core::plan::Op::names().filter(|name| !elsewhere(name) && !tunnel(name)) {
        for when in ["abort", "abort:after"] {
            lab.start_with(&[("NETD_FAILPOINT".into(), format!("{name}:{when}"))]);
            let _ = life(&mut lab).and_then(|()| on_parents(&mut lab)).and_then(|()| repair(&mut lab));
            assert!(lab.crashed(), "no life has the op `{name}`");
            lab.start_with(&[]);
            if let Ok(true) = has_network(&mut lab) {
                lab.call(Call::NetworkRemove { network: "sweep".into() });
            }
            lab.clean(&before);
            lab.kill();
        }
    }
}

/// A container on each kind of parent that this kernel has.
fn on_parents(lab: &mut Lab) -> Result<(), String> {
    let mut call = |call: Call| match lab.request(call) {
        Ok((Reply::Error(error), _)) => Err(causes(&error)),
        Ok(other) => Ok(other),
        Err(error) => Err(error.to_string()),
    };
    for parent in [Some("up0"), Some("up0.50"), None] {
        let mut spec = network_spec("sweep", |_, _| {});
        let parent = parent.map(|name| name.parse().unwrap());
        let lan = LanOptions { parent, host_access: true, ..LanOptions::default() };
        let options = MacvlanOptions { lan, mode: MacvlanMode::Bridge };
        spec.driver = DriverSpec::Macvlan(options);
        match call(Call::NetworkCreate { spec, dry_run: false }) {
            Err(why) if why.contains("CONFIG_") => continue,
            other => drop(other?),
        }
        let spec = sandbox_spec("a", "sweep", |_| {});
        let id = spec.id.clone();
        let (_, _netns) = call(Call::SandboxCreate { spec, dry_run: false })?;
        call(Call::SandboxRelease { id })?;
        call(Call::NetworkRemove { network: "sweep".into() })?;
    }
    Ok(())
}

/// A bridge that goes under its container, whose frames bypass it, and comes back.
fn repair(lab: &mut Lab) -> Result<(), String> {
    let spec = network_spec("sweep", |_, options| options.redirect_peer = true);
    let info = match lab.request(Call::NetworkCreate { spec, dry_run: false }) {
        Ok((Reply::Network(info), _)) => info,
        other => return Err(format!("{other:?}")),
    };
    let spec = sandbox_spec("a", "sweep", |_| {});
    let a = match lab.request(Call::SandboxCreate { spec, dry_run: false }) {
        Ok((Reply::Sandbox(_), fds)) => Netns::from(fds.into_iter().next().ok_or("no namespace came")?),
        other => return Err(format!("{other:?}")),
    };
    let bridge = info.interface.ok_or("no bridge")?;
    lab.host.sh(&format!("ip link del {bridge}"));
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !lab.crashed() && !a.ping(OUTSIDE) {
        assert!(std::time::Instant::now() < until, "the bridge does not come back");
    }
    Ok(())
}

#[test]
fn a_second_netd_in_one_network_namespace_is_refused() {
    let mut lab = Lab::new();
    let a = lab.container("a", "bridge");
    let elsewhere = tempfile::tempdir().unwrap();
    let second = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_netd"));
        command.arg("--daemon").arg("--root").arg(elsewhere.path().join("lib"));
        command.arg("--run").arg(elsewhere.path().join("run")).output().unwrap()
    };
    let refused = second();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("another netd (pid "), "{text}");
    assert!(text.contains("hint: "), "{text}");
    assert!(a.netns.ping(OUTSIDE), "and changes nothing");
    // A stranger's socket of that name is no netd.
    lab.kill();
    let squatter = std::thread::spawn(|| {
        // SAFETY: integers; the system call changes this thread alone.
        unsafe { nix::libc::syscall(nix::libc::SYS_setresuid, 1000, 1000, 1000) };
        let name = std::os::unix::net::SocketAddr::from_abstract_name(b"rcr/netd").unwrap();
        // The name is free when the last thread of the killed netd has gone, not the first.
        loop {
            match std::os::unix::net::UnixListener::bind_addr(&name) {
                Ok(socket) => return socket,
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
    let squatter = squatter.join().unwrap();
    lab.start();
    assert!(a.netns.ping(OUTSIDE));
    drop(squatter);
}
