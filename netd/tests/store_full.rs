//! A disk that is full for a while: what can't be written is refused, reading and ending go on, and afterwards everything does.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::lab::*;
use netd_api::*;
use std::fs::File;
use std::io::Write;

/// Takes all the space there is.
fn fill(lab: &Lab) -> std::path::PathBuf {
    let path = lab.lib_dir().join("filler");
    let mut file = File::create(&path).unwrap();
    let block = vec![1u8; 4096];
    while file.write_all(&block).is_ok() {}
    let _ = file.write_all(&[1]);
    path
}

#[test]
fn after_a_full_disk_everything_goes_on_without_a_restart() {
    let mut lab = Lab::bare();
    lab.mount_store("3m");
    lab.start();
    let before = lab.dump();
    lab.network("blue");
    let a = lab.container("a", "blue");
    let b = lab.container("b", "blue");
    let filler = fill(&lab);
    // What has to be written down is refused, with what the kernel says, again and again.
    let mut refused = 0;
    for n in 0..40 {
        let spec = network_spec(&format!("more{n}"), |spec, _| {
            spec.labels = (0..40).map(|i| (format!("label{n}-{i}"), "x".repeat(1000))).collect();
        });
        if let Err(error) = lab.try_call(Call::NetworkCreate { spec, dry_run: false }) {
            assert!(causes(&error).contains("ENOSPC"), "{error:?}");
            refused += 1;
        }
    }
    assert!(refused >= 3, "the disk is full: {refused}");
    // Reading goes on, and so does traffic; a container can end.
    let Reply::Networks(all) = lab.call(Call::NetworkList) else { panic!() };
    assert!(all.iter().any(|n| n.name.as_str() == "blue"));
    let Reply::Sandbox(_) = lab.call(Call::SandboxInspect { id: a.id.clone() }) else { panic!() };
    assert!(a.netns.ping(b.ip(false)));
    lab.end(b);
    // There may be room where the records of the other one were: then it is on the disk, see the end. A container needs
    // most pages of the file while it is held: redb copies every leaf that a transaction changes, and what the lazy
    // transaction before it copied is free only after it. `hold` writes the sandbox's record alone; when it wrote the
    // journals and the leases once more, it copied their leaves, too, three pages or so (measured with records of this
    // size), which is what the file lacked here: then this one was always refused.
    let late = lab.try_container("late", "blue", |_| {});
    if let Err(error) = &late {
        assert!(causes(error).contains("ENOSPC"), "{error:?}");
    }
    // There is space again: nothing was restarted, nothing is left of what was refused.
    std::fs::remove_file(filler).unwrap();
    let c = lab.container("c", "blue");
    assert!(c.netns.ping(a.ip(false)));
    let Reply::Networks(all) = lab.call(Call::NetworkList) else { panic!() };
    let kept: Vec<String> = all.iter().map(|n| n.name.to_string()).collect();
    // What the disk says is what netd says.
    lab.kill();
    lab.start();
    let Reply::Networks(all) = lab.call(Call::NetworkList) else { panic!() };
    assert_eq!(all.iter().map(|n| n.name.to_string()).collect::<Vec<_>>(), kept);
    let Reply::Sandboxes(there) = lab.call(Call::SandboxList) else { panic!() };
    let mut names: Vec<String> = there.iter().map(|s| s.name.clone()).collect();
    names.sort();
    let expected: Vec<&str> = ["a", "c"].into_iter().chain(late.is_ok().then_some("late")).collect();
    assert_eq!(names, expected);
    lab.end(a);
    lab.end(c);
    late.into_iter().for_each(|late| lab.end(late));
    for name in kept.iter().filter(|n| !["bridge", "host", "none"].contains(&n.as_str())) {
        lab.call(Call::NetworkRemove { network: name.clone() });
    }
    lab.clean(&before);
}

#[test]
fn a_connect_that_cannot_be_written_down_did_not_happen() {
    let mut lab = Lab::bare();
    lab.mount_store("3m");
    lab.start();
    lab.network("blue");
    lab.network("green");
    let a = lab.container("a", "blue");
    let filler = fill(&lab);
    let request = |aliases: usize| {
        let mut attachment = AttachmentRequest::to("green");
        attachment.aliases = (0..aliases).map(|i| format!("a{i}-{}", "x".repeat(50))).collect();
        Call::Connect { id: a.id.clone(), attachment }
    };
    let connect = || request(0);
    // There is some room in the file: records of different sizes fail at different steps.
    let mut failures = 0;
    for aliases in [8000, 4000, 2000, 1000, 500, 250] {
        match lab.try_call(request(aliases)) {
            Err(error) => {
                failures += 1;
                assert!(causes(&error).contains("ENOSPC"), "{error:?}");
                assert!(!a.netns.sh("ip -o link").contains("eth1"));
                let Reply::Sandbox(info) = lab.call(Call::SandboxInspect { id: a.id.clone() }) else { panic!() };
                assert_eq!(info.attachments.len(), 1);
            }
            Ok(_) => drop(lab.call(Call::Disconnect { id: a.id.clone(), network: "green".into() })),
        }
    }
    assert!(failures > 0, "the disk is full");
    std::fs::remove_file(filler).unwrap();
    lab.call(connect());
    assert!(a.netns.sh("ip -o link").contains("eth1"));
    lab.call(Call::Disconnect { id: a.id.clone(), network: "green".into() });
    lab.end(a);
}

/// As root, since others can't reach the socket here.
#[test]
fn thousands_of_idle_connections_lock_nobody_out() {
    let mut lab = Lab::new();
    lab.network("blue");
    let mut idle = Vec::new();
    for _ in 0..4000 {
        idle.push(lab.another_connection());
    }
    // The lab's own connection was idle, too, and had to go.
    lab.hang_up();
    let a = lab.container("a", "blue");
    assert!(a.netns.ping(OUTSIDE));
    let pid = lab.netd_pid();
    let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
    assert!(count("task") < 600, "{} threads", count("task"));
    assert!(count("fd") < 800, "{} descriptors", count("fd"));
    // Somebody who waits for a shim's hold, and somebody who speaks from time to time, are not in the way.
    let b = lab.container("b", "blue");
    drop(idle);
    eventually("the threads go", || count("task") < 40);
    lab.end(a);
    lab.end(b);
}
