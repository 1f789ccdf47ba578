//! `-o redirect_peer=true`: frames between neighbours that bypass their bridge, and what stays as it is then.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(unsafe_code)]

use crate::lab::*;
use netd::kernel::{CheckWants, can_redirect, check_place};
use netd_api::*;
use std::os::fd::AsFd;

fn fast(lab: &mut Lab) -> NetworkInfo {
    lab.network_with("fast", |spec, options| {
        spec.ipv6 = true;
        options.redirect_peer = true;
    })
}

/// The host's end of a container's link: bridge(8) knows its MAC behind it.
fn port(lab: &Lab, container: &Container) -> IfName {
    let mac = container.info.attachments[0].mac.unwrap();
    let line = lab.host.sh(&format!("bridge fdb show | grep '^{mac} .* static'"));
    line.split_whitespace().nth(2).unwrap().parse().unwrap()
}

/// Frames that a port has sent into its container, as the host counts them.
fn sent(lab: &Lab, port: &IfName) -> u64 {
    described(lab, port)["stats64"]["tx"]["packets"].as_u64().unwrap()
}

fn described(lab: &Lab, port: &IfName) -> serde_json::Value {
    serde_json::from_str::<serde_json::Value>(&lab.host.sh(&format!("ip -j -s link show dev {port}"))).unwrap()[0]
        .take()
}

/// Whether twenty echo requests came through, and none of them through the bridge. A neighbour is asked for now and then.
fn passes_by(lab: &Lab, from: &Container, to: &Container, port: &IfName) -> bool {
    let before = sent(lab, port);
    from.netns.sh(&format!("ping -n -q -c20 -i0.01 -W2 {}", to.ip(false)));
    sent(lab, port) - before < 10
}

fn stands(lab: &Lab, port: &IfName, container: &Container) -> bool {
    let host = std::fs::File::open(lab.host.path()).unwrap();
    let redirected = [(port.clone(), container.info.attachments[0].mac.unwrap())].into();
    let seen = check_place(Some(host.as_fd()), &CheckWants { redirected, ..CheckWants::default() }).unwrap();
    seen.redirected.contains(port)
}

/// bpf(2): takes the one program off a link's ingress, as another program's administrator might.
fn strip(lab: &Lab, port: &IfName) {
    const TCX_INGRESS: u32 = 46;
    let (detach, open, query) = (9, 13, 16);
    let index = described(lab, port)["ifindex"].as_u64().unwrap() as u32;
    lab.host.run(|| {
        let bpf = |command: libc::c_long, words: &mut [u32]| {
            // SAFETY: the kernel reads and writes these words, and the one whose address is among them.
            unsafe { libc::syscall(libc::SYS_bpf, command, words.as_mut_ptr(), size_of_val(words)) }
        };
        let mut id = 0u32;
        let at = std::ptr::from_mut(&mut id) as u64;
        let mut asked = [index, TCX_INGRESS, 0, 0, at as u32, (at >> 32) as u32, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(bpf(query, &mut asked), 0, "{}", std::io::Error::last_os_error());
        let program = bpf(open, &mut [id, 0, 0]);
        assert!(program > 0, "{}", std::io::Error::last_os_error());
        assert_eq!(bpf(detach, &mut [index, program as u32, TCX_INGRESS, 0, 0, 0, 0, 0]), 0);
    });
}

#[test]
fn frames_between_neighbours_pass_the_bridge_by_and_all_else_is_as_ever() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let info = fast(&mut lab);
    let (a, b) = (lab.container("a", "fast"), lab.container("b", "fast"));
    for v6 in [false, true] {
        assert!(a.netns.ping(b.ip(v6)) && b.netns.ping(a.ip(v6)));
        assert!(lab.host.ping(a.ip(v6)) && lab.host.ping(b.ip(v6)), "what the host sends takes the bridge");
    }
    assert!(a.netns.ping(OUTSIDE));
    if let Err(why) = can_redirect() {
        assert!(info.unmet.unwrap().contains(&why.to_string()), "an older kernel: it is said, and nothing is missing");
        return;
    }
    assert_eq!(info.unmet, None);
    let (of_a, of_b) = (port(&lab, &a), port(&lab, &b));
    assert!(passes_by(&lab, &a, &b, &of_b) && passes_by(&lab, &b, &a, &of_a));

    // The map outlives netd: the next one finds it, and who comes later is among them.
    lab.kill();
    assert!(passes_by(&lab, &a, &b, &of_b));
    lab.start();
    let c = lab.container("c", "fast");
    let of_c = port(&lab, &c);
    assert!(passes_by(&lab, &a, &c, &of_c) && passes_by(&lab, &c, &b, &of_b));

    // Another bridge of that name has the same ports.
    lab.host.sh(&format!("ip link del {}", info.interface.unwrap()));
    eventually("the bridge is back", || a.netns.ping(OUTSIDE));
    let d = lab.container("d", "fast");
    let of_d = port(&lab, &d);
    assert!(passes_by(&lab, &a, &d, &of_d) && passes_by(&lab, &d, &c, &of_c));
    for container in [a, b, c, d] {
        lab.end(container);
    }
    lab.call(Call::NetworkRemove { network: "fast".into() });
    lab.clean(&before);
}

#[test]
fn a_container_that_ended_is_reached_past_the_bridge_no_more_and_reaches_nobody() {
    let mut lab = Lab::new();
    fast(&mut lab);
    let (a, b) = (lab.container("a", "fast"), lab.container("b", "fast"));
    let (address, of_a) = (b.ip(false), a.ip(false));
    assert!(a.netns.ping(address));
    let kept = lab.end_but_keep(b);
    assert!(!a.netns.ping(address), "a knows its MAC still");
    assert!(!kept.ping(of_a));
    // An address and its MAC go to the next one at once.
    let next =
        lab.container_with("next", "fast", |spec| spec.attachments[0].ip = Some(address.to_string().parse().unwrap()));
    eventually("the next one answers", || a.netns.ping(address));
    drop((kept, next));
}

#[test]
fn a_port_that_lost_its_program_takes_the_bridge_and_is_named_and_repaired() {
    let mut lab = Lab::new();
    fast(&mut lab);
    let (a, b) = (lab.container("a", "fast"), lab.container("b", "fast"));
    let check = |lab: &mut Lab, repair| match lab.call(Call::NetworkCheck { repair, here: true }) {
        Reply::Checked(view) => view.differences,
        other => panic!("{other:?}"),
    };
    assert!(check(&mut lab, false).is_empty());
    if can_redirect().is_err() {
        // An older kernel: there is no program to lose, and none is missed.
        return;
    }
    let (of_a, of_b) = (port(&lab, &a), port(&lab, &b));
    assert!(stands(&lab, &of_a, &a) && stands(&lab, &of_b, &b));
    assert!(!stands(&lab, &of_a, &b), "another MAC leads elsewhere");
    strip(&lab, &of_a);
    assert!(!stands(&lab, &of_a, &a) && stands(&lab, &of_b, &b));
    assert!(!passes_by(&lab, &a, &b, &of_b), "it comes by the bridge");
    let [one] = &check(&mut lab, true)[..] else { panic!("one port differs") };
    assert!(one.what.contains(&format!("frames of `{of_a}` no longer bypass bridge")) && one.repaired, "{one:?}");
    assert!(passes_by(&lab, &a, &b, &of_b));
    assert!(check(&mut lab, false).is_empty());
}
