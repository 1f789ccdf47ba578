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
    text.lines().filter_map(of).collect()
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
    let run =
        ["run", "--dry-run", "--verbose", "--name", "c2", "--network", "blue", "--ip", "10.9.0.13", "-p", "8080:80"];
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
    let text = host.ok(&["create", "--dry-run", "--verbose", "--network", "none", "no-such-image:1"]);
    assert!(text.contains("+ image   no-such-image:1  # it is pulled first"), "{text}");
    assert!(host.refused(&["run", "--verbose", "alpine"]).contains("--dry-run"));
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

/// Without `-v` one line a step, with it every row and every reason; the steps are the same.
#[test]
fn reasons_are_shown_where_they_are_wanted() {
    let host = Host::new();
    host.ok(&["network", "create", "--subnet", "10.9.0.0/24", "blue"]);
    sleeper(&host, "c1", &["--network", "blue"]);
    host.ok(&["create", "--name", "asleep", "--network", "blue", "alpine", "true"]);
    for (args, verbose) in [
        (&["network", "create", "--dry-run", "--subnet", "10.8.0.0/24", "green"][..], "-v"),
        (&["network", "update", "--dry-run", "-o", "mtu=1400", "blue"], "-v"),
        (&["network", "connect", "--dry-run", "bridge", "c1"], "-v"),
        (&["network", "plan", "blue"], "-v"),
        (&["network", "plan", "c1"], "-v"),
        (&["network", "plan", "asleep"], "-v"),
        (&["run", "--dry-run", "--network", "blue", "alpine"], "--verbose"),
        (&["create", "--dry-run", "--network", "blue", "alpine"], "--verbose"),
    ] {
        let (short, whole) = (host.ok(args), host.ok(&[&args[..2], &[verbose], &args[2..]].concat()));
        assert!(!short.contains("  # "), "{args:?}: {short}");
        // Nothing of an update of the MTU needs a word.
        assert!(whole.contains("  # ") || args.contains(&"update"), "{args:?}: {whole}");
        assert!(short.lines().count() <= whole.lines().count(), "{args:?}");
        assert!(short.lines().skip(1).any(|line| line.starts_with("  host       ")), "{args:?}: {short}");
    }
    for args in [&["network", "create", "-v", "green"][..], &["network", "update", "-v", "-o", "mtu=1400", "blue"]] {
        assert!(host.refused(args).contains("--dry-run"), "{args:?}");
    }
}

/// What was only planned for was never anybody's: the next plan, and the next start, are as if nobody had asked.
#[test]
fn a_dry_run_takes_nothing_from_who_comes_next() {
    let host = Host::new();
    host.ok(&["network", "create", "--subnet", "10.9.0.0/24", "--ip-range", "10.9.0.8/30", "blue"]);
    let dry = || host.ok(&["run", "--dry-run", "--name", "next", "--network", "blue", "alpine"]);
    let address = |text: &str| text.lines().find(|line| line.contains("+ addr ")).map(str::to_owned);
    let first = dry();
    // More often than there are addresses.
    for _ in 0..6 {
        let again = dry();
        assert_eq!(address(&again), address(&first));
        assert!(!again.contains("conntrack"), "nobody had the address: {again}");
    }
    host.refused(&["run", "--dry-run", "--network", "blue", "--network", "host", "alpine"]);
    host.refused(&["run", "--dry-run", "--network", "blue", "-p", "8080:80", "-p", "8080:81", "alpine"]);
    sleeper(&host, "c1", &["--network", "blue"]);
    let made = host.address("c1", "blue");
    assert!(address(&first).unwrap().ends_with(&format!("{made}/24")), "{first}: {made}");
    let text = host.ok(&["network", "plan", "c1"]);
    assert!(!text.contains("conntrack"), "{text}");
    for _ in 0..6 {
        host.ok(&["network", "connect", "--dry-run", "bridge", "c1"]);
        dry();
    }
    // All others are still there to be had.
    for name in ["c2", "c3", "c4"] {
        sleeper(&host, name, &["--network", "blue"]);
    }
}

#[test]
fn a_whole_name_goes_before_the_beginning_of_an_id() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    let id = host.ok(&["network", "inspect", "-f", "{{.Id}}", "blue"]);
    let called = &id[..6];
    for name in [called, "both"] {
        sleeper(&host, name, &["--network", "blue"]);
    }
    assert!(host.ok(&["network", "plan", called]).starts_with(&format!("{called} on blue")));
    // Of two whole names, the network's.
    host.ok(&["network", "create", "both"]);
    assert!(host.ok(&["network", "plan", "both"]).starts_with("attach example to both"));
    assert!(host.ok(&["network", "plan", &id[..12]]).starts_with("attach example to blue"));
}
