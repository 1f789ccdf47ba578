//! What would be made is shown, and nothing is made; what was made is shown as it is.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use tests::Host;
use tests::host::sleeper;

/// Everything that rcr knows of, as text.
fn known(host: &Host) -> String {
    let list = |args: &[&str]| host.ok(args);
    [
        list(&["ps", "-a", "--format", "{{.ID}} {{.Names}} {{.State}} {{.Networks}}"]),
        list(&["volume", "ls"]),
        list(&["images", "-q", "--no-trunc"]),
        list(&["network", "inspect", "blue", "green"]),
        list(&["network", "check"]),
    ]
    .join("\n")
}

fn marks(text: &str) -> Vec<char> {
    let of = |line: &str| line.strip_prefix("  ")?.split_whitespace().nth(1)?.chars().next();
    // An address that was planned for before is taken for one that somebody had.
    text.lines().filter(|line| !line.contains("flows   conntrack")).filter_map(of).collect()
}

#[test]
fn a_dry_run_says_what_would_be_made_and_makes_nothing() {
    let host = Host::new();
    host.ok(&["network", "create", "--subnet", "10.9.0.0/24", "blue"]);
    host.ok(&["network", "create", "--subnet", "10.8.0.0/24", "green"]);
    host.ok(&["volume", "create", "old"]);
    sleeper(&host, "c1", &["--network", "blue", "--ip", "10.9.0.11"]);
    host.ok(&["create", "--name", "asleep", "--network", "blue", "--ip", "10.9.0.12", "alpine", "true"]);
    let (before, kernel) = (known(&host), host.snapshot());
    let files = host.netns.run(&format!("find {} -path */netd -prune -o -print", host.root().display()));
    let run = ["run", "--dry-run", "--name", "c2", "--network", "blue", "--ip", "10.9.0.13", "-p", "8080:80"];
    let text = host.ok(&[&run[..], &["-v", "old:/a", "-v", "new:/b", "alpine", "true"]].concat());
    for part in [
        "create c2\n",
        "= image   alpine\n",
        "= volume  old\n",
        "+ volume  new\n",
        "attach c2 to blue (bridge)\n",
        "+ addr    eth0            10.9.0.13/24\n",
        "+ route   default         via 10.9.0.1 dev eth0  # the way out\n",
        "publish-any4    tcp . 8080 -> 10.9.0.13 . 80  # ",
    ] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    let text = host.ok(&["create", "--dry-run", "--network", "none", "no-such-image:1"]);
    assert!(text.contains("+ image   no-such-image:1  # it is pulled first"), "{text}");
    let text = host.ok(&["run", "--dry-run", "--network", "container:c1", "alpine"]);
    assert!(text.contains("joins the network of c1: nothing is made for it"), "{text}");
    let text = host.ok(&["network", "plan", "asleep"]);
    assert!(text.starts_with("attach asleep to blue (bridge)\n") && text.contains("10.9.0.12/24"), "{text}");
    let text = host.ok(&["network", "connect", "--dry-run", "--ip", "10.8.0.9", "green", "c1"]);
    assert!(text.starts_with("attach c1 to green") && text.contains("+ addr    eth1            10.8.0.9/24"), "{text}");
    let text = host.ok(&["network", "connect", "--dry-run", "green", "asleep"]);
    assert!(text.starts_with("asleep is attached at its next start\nattach asleep to green"), "{text}");
    for (args, part) in [
        (&["run", "--dry-run", "--name", "c1", "alpine"][..], "the name `c1` is taken"),
        (&["run", "--dry-run", "--network", "no-such", "alpine"], "no-such"),
        (&["run", "--dry-run", "--network", "blue", "--ip", "10.9.0.11", "alpine"], "10.9.0.11"),
        (&["network", "connect", "--dry-run", "blue", "c1"], "is on network `blue` already"),
        (&["network", "connect", "--dry-run", "host", "c1"], "go with no other"),
        (&["network", "plan", "no-such"], "there is no network `no-such`"),
    ] {
        let said = host.refused(args);
        assert!(said.contains(part), "{args:?}: {said}");
    }
    assert_eq!(known(&host), before);
    let after = host.netns.run(&format!("find {} -path */netd -prune -o -print", host.root().display()));
    assert_eq!(after, files);
    kernel.assert_restored(&host);
    // What was not made is free: the addresses and the port, too.
    sleeper(&host, "c2", &["--network", "blue", "--ip", "10.9.0.13", "-p", "8080:80"]);
}

#[test]
fn what_was_made_for_a_container_is_shown_as_it_is() {
    let host = Host::new();
    host.ok(&["network", "create", "--subnet", "10.9.0.0/24", "blue"]);
    let flags = ["--network", "blue", "--ip", "10.9.0.11", "-p", "8080:80"];
    let dry = host.ok(&[&["run", "--dry-run", "--name", "c1"], &flags[..], &["alpine"]].concat());
    sleeper(&host, "c1", &flags);
    let text = host.ok(&["network", "plan", "c1"]);
    let planned = dry.split_once("attach c1 to").unwrap().1;
    assert!(text.starts_with("c1 on blue (bridge)\n"), "{text}");
    assert_eq!(marks(&text).len(), marks(planned).len(), "{dry}\n{text}");
    assert!(marks(&text).iter().all(|mark| *mark == '='), "{text}");
    host.container_netns("c1").ip("route del default");
    let text = host.ok(&["network", "plan", "c1"]);
    assert_eq!(marks(&text).iter().filter(|mark| **mark != '=').count(), 1, "{text}");
    assert!(text.contains("+ route   default"), "{text}");
}
