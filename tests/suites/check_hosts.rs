//! `network check` over several hosts: each looks at itself, and is asked by way of the cluster's store.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use tests::cluster::Cluster;
use tests::{Host, eventually};

/// What `network check` says, and its exit code.
fn check(host: &Host, flags: &[&str]) -> (Value, i32) {
    let ran = host.rcr(&[&["network", "check", "--format", "json"], flags].concat());
    (serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}")), ran.code)
}

/// What another host has found; nothing, if it was not looked at.
#[track_caller]
fn of<'a>(view: &'a Value, host: &str) -> &'a Value {
    let others = view["others"].as_array().unwrap_or_else(|| panic!("no others in {view:#}"));
    others.iter().find(|one| one["host"] == host).unwrap_or_else(|| panic!("no {host} in {view:#}"))
}

/// Nothing of a question stays in the store.
fn is_clear(cluster: &Cluster) -> bool {
    cluster.etcd_count("/rcr/v1/check") == 0
}

#[test]
fn what_differs_on_another_host_is_found_and_repaired_there() {
    let cluster = Cluster::pair(false);
    let [one, two] = [&cluster.hosts[0], &cluster.hosts[1]];
    let (view, code) = check(one, &[]);
    assert_eq!(code, 0, "{view:#}");
    assert!(of(&view, "node2")["found"]["looked"].as_u64().unwrap() > 20, "{view:#}");
    assert!(of(&view, "node2")["found"]["differences"].as_array().unwrap().is_empty(), "{view:#}");
    assert!(one.ok(&["network", "check"]).contains(" steps on 2 hosts stand as they were made"));
    two.netns.run("sysctl -qw net.ipv4.ip_forward=0");
    two.container_netns("c2").ip("route del default");
    let (view, code) = check(one, &[]);
    assert_eq!(code, 1);
    assert!(view["differences"].as_array().unwrap().is_empty(), "{view:#}");
    let told = of(&view, "node2").to_string();
    assert!(told.contains("net/ipv4/ip_forward is 0, not 1") && told.contains("c2 on network mesh"), "{view:#}");
    let text = one.rcr(&["network", "check"]).expect_code(1).stdout;
    assert!(text.contains("node2: host: net/ipv4/ip_forward is 0, not 1\n  made for all networks\n"), "{text}");
    // Who asks for this host alone hears of no other.
    let (view, code) = check(one, &["--local"]);
    assert_eq!((code, view["others"].is_null()), (0, true), "{view:#}");
    let (view, code) = check(one, &["--repair"]);
    assert_eq!(code, 0, "{view:#}");
    let repaired = of(&view, "node2")["found"]["differences"].as_array().unwrap().clone();
    assert!(repaired.len() >= 2 && repaired.iter().all(|one| one["repaired"] == true), "{view:#}");
    assert!(two.netd_log().contains("host `node1` asks all hosts to repair what is not as it was made"));
    assert_eq!(check(two, &[]).1, 0);
    assert!(cluster.pings(0, "c1", "c2"));
    assert!(is_clear(&cluster));
}

#[test]
fn a_host_that_does_not_answer_was_not_looked_at() {
    let mut cluster = Cluster::pair(false);
    let pid = nix::unistd::Pid::from_raw(cluster.hosts[1].netd_pid().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let (view, code) = check(&cluster.hosts[0], &[]);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    assert_eq!((code, of(&view, "node2")["why"].as_str()), (1, Some("no answer within 10 s")), "{view:#}");
    let text = format!("{view}");
    assert!(view["differences"].as_array().unwrap().is_empty() && !text.contains("\"more\""), "{text}");
    eventually("it answers again", || check(&cluster.hosts[0], &[]).1 == 0);
    // It answered late, when nobody asked any more.
    eventually("nothing stays in the store", || is_clear(&cluster));
    // A host whose lease has ended is not even asked.
    let node = cluster.hosts[1].ok(&["node", "ls", "--format", "{{.ID}} {{.Name}}"]);
    let id = node.lines().find_map(|line| line.strip_suffix(" node2")).unwrap().to_owned();
    cluster.hosts[1].kill_netd();
    let keys = cluster.etcdctl(&["get", "--prefix", "--keys-only", "/rcr/v1/alive/"]);
    let alive = keys.lines().find(|key| key.rsplit('/').next().is_some_and(|full| full.starts_with(&id))).unwrap();
    cluster.etcdctl(&["del", alive]);
    eventually("it is known to be away", || {
        let (view, _) = check(&cluster.hosts[0], &[]);
        of(&view, "node2")["why"] == "it has not been heard of for a while"
    });
    let text = cluster.hosts[0].rcr(&["network", "check"]).expect_code(1).stdout;
    assert!(text.contains("node2: not looked at: it has not been heard of for a while"), "{text}");
    // Without the store nobody can be asked; this host is looked at all the same.
    cluster.stop_store();
    let (view, code) = check(&cluster.hosts[0], &[]);
    assert_eq!(code, 1);
    assert!(view["looked"].as_u64().unwrap() > 20, "{view:#}");
}

/// What another host could write is taken for what it is: bounded, checked, and no command.
#[test]
fn hostile_questions_and_answers_do_no_harm() {
    let cluster = Cluster::pair(false);
    let one = &cluster.hosts[0];
    let digits = "c".repeat(32);
    for (key, value) in [
        ("/rcr/v1/check/x".to_owned(), "{}".to_owned()),
        (format!("/rcr/v1/check/{digits}"), "{".to_owned()),
        (format!("/rcr/v1/check/{digits}"), format!("{{\"node\":\"{}\",\"repair\":1}}", "d".repeat(32))),
        (format!("/rcr/v1/checked/{digits}/{digits}"), "{\"looked\":-1}".to_owned()),
        (
            format!("/rcr/v1/checked/{digits}/{digits}"),
            format!("{{\"looked\":1,\"unseen\":[\"{}\"]}}", "x".repeat(100_000)),
        ),
        (format!("/rcr/v1/checked/{digits}/{digits}"), "{\"looked\":1}".to_owned()),
    ] {
        cluster.put(&key, &value);
    }
    // More questions than a host answers at a time.
    for n in 0..20 {
        let question = format!("/rcr/v1/check/{n:032x}");
        cluster.put(&question, &format!("{{\"node\":\"{}\",\"repair\":false}}", "d".repeat(32)));
    }
    eventually("questions of people are answered all the while", || check(one, &[]).1 == 0);
    assert!(cluster.pings(0, "c1", "c2"));
    assert!(one.netd_log().contains("is not understood"), "{}", one.netd_log());
    let answers = cluster.etcd_count("/rcr/v1/checked/0000");
    assert!(answers > 0, "a question was answered");
}
