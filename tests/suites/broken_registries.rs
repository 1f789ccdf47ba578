//! Registries that break, stall and lie; pulls that are killed, and disks that are full.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tests::Host;
use tests::archive::Archive;
use tests::images::{command, config, count, noise, pull, rcr, refused, run};
use tests::registry::{Fake, Fault, OCI_INDEX, OCI_MANIFEST};

const FAKE: &str = "127.0.0.1:5000";

#[test]
fn broken_transfers_go_on_where_they_broke() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    let settings = config(&host, "[images]\nread_timeout = 1");
    let layers = fake.image("1", &[noise("a", 900_000), noise("b", 700_000)], |_, _| ());
    fake.fault(&layers[0], &[Fault::Cut(300_000), Fault::Status(503), Fault::Stall(200_000), Fault::Cut(0)]);
    fake.fault(&layers[1], &[Fault::Cut(100_000), Fault::NoRange]);
    let ran = rcr(&host, &["--config", &settings, "pull", &fake.name("x:1")], &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("trying again"), "{ran:?}");
    let resumed = fake.requests().iter().filter(|r| r.contains(&layers[0]) && r.contains("bytes=")).count();
    assert!(resumed >= 3, "{:?}", fake.requests());
    assert_eq!(count(&host, "layers"), 2);
    assert_eq!(count(&host, "partial"), 0);
}

#[test]
fn a_pull_that_was_killed_is_taken_up_by_the_next() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    let layers = fake.image("1", &[noise("a", 3_000_000)], |_, _| ());
    fake.fault(&layers[0], &[Fault::Stall(2_000_000)]);
    let mut child = command(&host, &["pull", &fake.name("x:1")], &[]).stdout(Stdio::null()).spawn().unwrap();
    let partial = host.root().join("images/partial").join(&layers[0]["sha256:".len()..]);
    let size = || std::fs::metadata(&partial).map_or(0, |meta| meta.len());
    tests::eventually("some of the layer came", || size() > 1_000_000);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(count(&host, "layers") + count(&host, "blobs/sha256"), 0, "nothing is visible of what is not complete");
    // Its helpers end, as nobody reads what they say.
    tests::eventually("nothing is left running", || !runs_below(&host));
    let kept = size();
    pull(&host, &fake.name("x:1"));
    let requests = fake.requests();
    let last = requests.iter().rfind(|r| r.contains(&layers[0])).unwrap();
    assert!(last.ends_with(&format!("bytes={kept}-")), "{last}, kept {kept}");
    assert_eq!(count(&host, "partial") + count(&host, "tmp"), 0);
    assert_eq!(count(&host, "layers"), 1);
    // What was kept and is damaged is found by its digest, and comes anew.
    host.ok(&["rmi", &fake.name("x:1")]);
    std::fs::write(&partial, vec![7; 1000]).unwrap();
    let ran = rcr(&host, &["pull", &fake.name("x:1")], &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("damaged"), "{ran:?}");
}

/// Does any process work in this host's image store?
fn runs_below(host: &Host) -> bool {
    let store = host.root().join("images");
    let mut all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.any(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&store)))
}

/// A tag, what the refusal says, and what is done to manifest and config.
type Lie = (&'static str, &'static str, Box<dyn Fn(&mut serde_json::Value, &mut serde_json::Value)>);

fn lies() -> Vec<Lie> {
    let hash = |n: u8| rcr_images::Digest::of(&[n]).to_string();
    vec![
        ("diffid", "not to sha256", Box::new(move |_, c| c["rootfs"]["diff_ids"][0] = json!(hash(1)))),
        ("size-small", "more", Box::new(|m, _| m["layers"][0]["size"] = json!(5))),
        ("size-large", "broke", Box::new(|m, _| m["layers"][0]["size"] = json!(10_000_000))),
        ("size-huge", "limits", Box::new(|m, _| m["layers"][0]["size"] = json!(1u64 << 50))),
        ("count", "layers", Box::new(|m, _| m["layers"].as_array_mut().unwrap().truncate(1))),
        ("both", "both", Box::new(|m, _| m["manifests"] = json!([]))),
        ("schema1", "schema", Box::new(|m, _| m["schemaVersion"] = json!(1))),
        ("type", "media type", Box::new(|m, _| m["layers"][0]["mediaType"] = json!("text/html"))),
        ("path", "manifest", Box::new(|m, _| m["layers"][0]["digest"] = json!("sha256:../../../../../etc/passwd"))),
        ("diffpath", "diff id", Box::new(|_, c| c["rootfs"]["diff_ids"][0] = json!("sha256:../../../../../tmp/x"))),
        (
            "algorithm",
            "digest",
            Box::new(|m, _| m["layers"][0]["digest"] = json!("md5:d41d8cd98f00b204e9800998ecf8427e")),
        ),
        (
            "noconfig",
            "registry",
            Box::new(|m, _| {
                m["config"] =
                    json!({ "mediaType": "x/y", "digest": "sha256:".to_owned() + &"1".repeat(64), "size": 10 })
            }),
        ),
        (
            "bigconfig",
            "limits",
            Box::new(|m, _| {
                m["config"] =
                    json!({ "mediaType": "x/y", "digest": "sha256:".to_owned() + &"1".repeat(64), "size": 1u64 << 40 })
            }),
        ),
        ("badconfig", "config", Box::new(|_, c| *c = json!([1, 2, 3]))),
    ]
}

#[test]
fn a_registry_that_lies_is_found_out_and_nothing_stays() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    let good = || vec![noise("a", 100_000), Archive::new().file("b", b"b").end()];
    let settings = config(&host, "[images]\nretries = 0\nread_timeout = 2");
    for (tag, expected, lie) in lies() {
        fake.image(tag, &good(), lie);
        let ran = rcr(&host, &["--config", &settings, "pull", &fake.name(&format!("x:{tag}"))], &[]);
        assert_eq!(ran.code, 1, "{tag}: {ran:?}");
        assert!(ran.stderr.contains(expected) && !ran.stderr.contains("panicked"), "{tag}: {ran:?}");
        assert_eq!(host.ok(&["images", "-q"]), "", "{tag}");
        assert_eq!(count(&host, "tmp"), 0, "{tag}");
    }
    // Bytes that are not what the digest says; half of them; a tag's document that is something else.
    for (tag, fault, expected) in [
        ("flip", vec![Fault::Flip; 3], "damaged"),
        ("cut", vec![Fault::Cut(50_000); 20], "broke"),
        ("gone", vec![Fault::Status(404); 20], "no image"),
    ] {
        let layers = fake.image(tag, &[noise(tag, 100_000)], |_, _| ());
        fake.fault(&layers[0], &fault);
        let ran = rcr(&host, &["--config", &settings, "pull", &fake.name(&format!("x:{tag}"))], &[]);
        assert_eq!(ran.code, 1, "{tag}: {ran:?}");
        assert!(ran.stderr.contains(expected) && !ran.stderr.contains("{image}"), "{tag}: {ran:?}");
        assert!(!host.root().join("images/blobs/sha256").join(&layers[0][7..]).exists());
        assert!(!host.root().join("images/layers").join(&layers[0][7..]).exists());
    }
    fake.manifest("text", "text/html", &json!("<html>"));
    assert!(refused(&host, &fake.name("x:text")).contains("manifest"));
    let wanted = format!("x@sha256:{}", "2".repeat(64));
    assert!(refused(&host, &fake.name(&wanted)).contains("has no image"));
}

#[test]
fn limits_are_the_configurations() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    let many = (0..50).fold(Archive::new(), |archive, n| archive.file(&format!("f{n}"), b"x")).end();
    let deep = Archive::new().file(&"d/".repeat(20), b"").end();
    let xattr = Archive::new().pax(&[("SCHILY.xattr.user.a", &[b'x'; 5000])]).file("f", b"").end();
    let zeros = Archive::new().file("zeros", &vec![0; 3 << 20]).end();
    for (key, value, layers) in [
        ("entries", 10, vec![many.clone()]),
        ("depth", 5, vec![deep]),
        ("xattrs", 100, vec![xattr]),
        ("bytes", 1 << 20, vec![zeros.clone()]),
        ("path", 3, vec![Archive::new().file("long-name", b"").end()]),
        ("layers", 1, vec![many.clone(), zeros]),
        ("packed", 100, vec![many]),
        ("document", 100, vec![Archive::new().file("f", b"").end()]),
    ] {
        fake.image(key, &layers, |_, _| ());
        let settings = config(&host, &format!("[images.limits]\n{key} = {value}"));
        let ran = rcr(&host, &["--config", &settings, "pull", &fake.name(&format!("x:{key}"))], &[]);
        assert_eq!(ran.code, 1, "{key}: {ran:?}");
        assert!(ran.stderr.contains(&format!("`{key}` in [images.limits]")), "{key}: {ran:?}");
        assert_eq!(count(&host, "layers") + count(&host, "tmp"), 0, "{key}");
    }
    let ran = rcr(&host, &["--config", &config(&host, "[images.limits]\nentriess = 1"), "images"], &[]);
    assert!(ran.code == 1 && ran.stderr.contains("entriess"), "{ran:?}");
}

#[test]
fn an_unreachable_registry_is_a_clear_error_within_seconds() {
    let host = Host::bare();
    let settings = config(&host, "[images]\nconnect_timeout = 1\nread_timeout = 1");
    let fake = Fake::start(&host, FAKE);
    let layers = fake.image("1", &[noise("a", 1000)], |_, _| ());
    fake.fault(&layers[0], &vec![Fault::Stall(0); 100]);
    // Nobody listens; nobody is there at all; somebody listens and says nothing.
    let _mute = host.netns.inside(|| std::net::TcpListener::bind("127.0.0.1:5009").unwrap());
    for (name, words) in [
        ("127.0.0.1:5008/x", "ECONNREFUSED"),
        ("198.51.100.77/x", "cannot reach the registry `198.51.100.77`"),
        ("127.0.0.1:5009/x", "cannot reach the registry `127.0.0.1:5009`"),
    ] {
        let start = Instant::now();
        let ran = rcr(&host, &["--config", &settings, "pull", name], &[]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains(words) && ran.stderr.contains("hint: without a registry"), "{ran:?}");
        assert!(start.elapsed() < Duration::from_secs(8), "{name}: {:?}", start.elapsed());
    }
    // A layer that never comes ends, too.
    let settings = config(&host, "[images]\nread_timeout = 1\nretries = 1");
    let ran = rcr(&host, &["--config", &settings, "pull", &fake.name("x:1")], &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[test]
fn a_name_server_that_does_not_answer_is_not_waited_for() {
    let host = Host::bare();
    let resolv = host.scratch().join("resolv.conf");
    std::fs::write(&resolv, "nameserver 198.51.100.77\n").unwrap();
    let settings = config(&host, "[images]\nconnect_timeout = 1");
    let rcr = tests::bin().join("rcr");
    for (what, code) in [("pull", 1), ("run --rm --network none", 125)] {
        let script = format!(
            "mount --bind {} /etc/resolv.conf && exec {} --config {settings} {what} alpine",
            resolv.display(),
            rcr.display()
        );
        let mut command = host.netns.command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
        command.env("RCR_ROOT", host.root()).env("RCR_RUN", host.run_dir());
        command.env_remove("HTTPS_PROXY").env_remove("https_proxy");
        let start = Instant::now();
        let ran = run(&mut command);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains("cannot reach the registry `docker.io`"), "{ran:?}");
        assert!(ran.stderr.contains("hint: without a registry: `rcr load"), "{ran:?}");
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    }
}

#[test]
fn documents_are_asked_for_again_and_never_without_end() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    fake.image("1", &[noise("a", 1000)], |_, _| ());
    let name = fake.name("x:1");
    fake.fault("1", &[Fault::Status(503), Fault::Status(429)]);
    let ran = rcr(&host, &["pull", &name], &[]);
    assert!(ran.code == 0 && ran.stderr.contains("trying again"), "{ran:?}");
    fake.fault("1", &vec![Fault::Status(503); 9]);
    assert!(refused(&host, &name).contains("HTTP status 503"));
    assert!(fake.requests().iter().filter(|line| line.ends_with("/manifests/1")).count() <= 6, "{:?}", fake.requests());
    // A document that is far too long, and one that the process that talks to the registry has no room for.
    fake.fault("1", &[Fault::Long(20)]);
    assert!(refused(&host, &name).contains("`document` in [images.limits]"));
    let small = config(&host, "[images.limits]\nmemory = 67108864");
    fake.fault("1", &[Fault::Long(200)]);
    let ran = rcr(&host, &["--config", &small, "pull", &name], &[]);
    assert!(ran.code == 1 && ran.stderr.contains("`memory` in [images.limits]"), "{ran:?}");
    // Nor does a layer get it: a pax header has to be read as a whole, and is refused before, whatever memory there may
    // be.
    fake.image("pax", &[Archive::new().entry("pax", b'x', "", &vec![b'1'; 100 << 20]).file("f", b"").end()], |_, _| ());
    let ran = rcr(&host, &["--config", &small, "pull", &fake.name("x:pax")], &[]);
    assert!(ran.code == 1 && ran.stderr.contains("a pax header of 104857600 bytes is longer than"), "{ran:?}");
    assert_eq!(count(&host, "tmp") + count(&host, "partial"), 0);
}

#[test]
fn what_a_registry_says_steers_no_terminal_and_ends_nothing_early() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    fake.image("1", &[noise("a", 1000)], |_, _| ());
    let said = "\\u001b[2Jowned\\nhint: rm -rf /";
    let error = json!([{ "code": "DENIED", "message": "MESSAGE", "detail": {} }]).to_string();
    fake.fault("1", &[Fault::Says(format!("{{\"errors\":{}}}", error.replace("MESSAGE", said)))]);
    let stderr = refused(&host, &fake.name("x:1"));
    assert!(!stderr.contains('\u{1b}') && !stderr.contains("\nhint: rm"), "{stderr:?}");
    // An index for platforms that nobody can name, a history that moves the cursor.
    let odd = json!({ "os": "linux", "architecture": "\u{1b}[2J" });
    let entry = json!({ "mediaType": OCI_MANIFEST, "digest": format!("sha256:{}", "3".repeat(64)), "size": 1, "platform": odd });
    fake.manifest("odd", OCI_INDEX, &json!({ "schemaVersion": 2, "manifests": [entry] }));
    assert!(!refused(&host, &fake.name("x:odd")).contains('\u{1b}'));
    fake.image("2", &[noise("a", 1000)], |_, config| {
        config["history"] = json!([{ "created_by": "\u{1b}[2J\nx", "comment": "\u{9b}2J" }]);
        config["architecture"] = json!("\u{1b}[2J");
    });
    pull(&host, &fake.name("x:2"));
    for args in [&["history", "--no-trunc"][..], &["history"], &["inspect"], &["run", "--rm", "--network", "none"]] {
        let ran = rcr(&host, &[args, &[fake.name("x:2").as_str()]].concat(), &[]);
        assert!(![ran.stdout, ran.stderr].concat().contains(['\u{1b}', '\u{9b}']), "{args:?}");
    }
    // Challenges and tokens that are none.
    for (challenge, token) in [
        ("Bearer", "{}"),
        ("Bearer realm=", "{}"),
        ("Bearer realm=\"\"", "{}"),
        ("Bearer realm=\"http://HOST/token", "{}"),
        ("Bearer realm=\"\\\"", "{}"),
        ("Bearer realm=\"file:///etc/passwd\"", "{}"),
        ("Bearer realm=\"http://HOST/token\"", "{}"),
        ("Bearer realm=\"http://HOST/token\"", "[\"token\"]"),
        ("Bearer realm=\"http://HOST/token\"", "{\"token\":\"a\\nb\"}"),
        ("Bearer realm=\"http://HOST/token\"", "{\"token\":\"\\u001b[2J\"}"),
        ("Bearer realm=\"http://HOST/token\"", "{\"token\":\"a.b.c\"}"),
        ("Bearer realm=\"http://HOST/token\"", "{\"token\":\"e30.eyJleHAiOjE4NDQ2NzQ0MDczNzA5NTUxNjE1fQ.x\"}"),
        ("Basic realm=\"x\"", "{}"),
        ("Digest ,,,=", "{}"),
        (",", "{}"),
        ("\t", "{}"),
    ] {
        fake.challenge("", challenge, token);
        let stderr = refused(&host, &fake.name("x:1"));
        assert!(!stderr.contains('\u{1b}'), "{challenge} {token}: {stderr}");
    }
}

#[test]
fn layers_that_name_each_other_do_not_wait_for_each_other() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    let settings = config(&host, "[images]\nparallel = 32\nretries = 0");
    let hash = |n: u8| rcr_images::Digest::of(&[n]).to_string();
    // Each pair of layers: the packed digest of the one is the diff id of the other.
    let pairs = || (0..16u8).flat_map(|n| [(2 * n, 2 * n + 1), (2 * n + 1, 2 * n)]);
    let small = Archive::new().end();
    fake.image("1", &vec![small; 32], |manifest, config| {
        for (at, (packed, diff)) in pairs().enumerate() {
            manifest["layers"][at]["digest"] = json!(hash(packed));
            config["rootfs"]["diff_ids"][at] = json!(hash(diff));
        }
    });
    let ran = rcr(&host, &["--config", &settings, "pull", &fake.name("x:1")], &[]);
    assert!(ran.code == 1 && ran.stderr.contains("is missing a part of `127.0.0.1:5000/x:1`"), "{ran:?}");
    assert_eq!(count(&host, "tmp") + count(&host, "locks") + count(&host, "layers"), 0);
}
