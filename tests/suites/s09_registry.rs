//! Registries: pull and push, and registries that break, stall and lie.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::archive::Archive;
use tests::registry::{Fake, Fault, OCI_INDEX, OCI_MANIFEST, Real};
use tests::{Host, Ran};

const FAKE: &str = "127.0.0.1:5000";

/// `rcr` with an environment, and docker's configuration in the test's own folder.
fn rcr(host: &Host, args: &[&str], env: &[(&str, &str)]) -> Ran {
    let output = command(host, args, env).output().unwrap();
    Ran {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code().unwrap_or(-1),
    }
}

fn command(host: &Host, args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = host.command(args);
    for name in
        ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"]
    {
        command.env_remove(name);
    }
    command.env("DOCKER_CONFIG", host.scratch().join("docker")).envs(env.iter().copied()).stdin(Stdio::null());
    command
}

#[track_caller]
fn pull(host: &Host, name: &str) -> String {
    let ran = rcr(host, &["pull", name], &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout
}

#[track_caller]
fn refused(host: &Host, name: &str) -> String {
    let ran = rcr(host, &["pull", name], &[]);
    assert_eq!(ran.code, 125, "{ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    ran.stderr
}

fn config(host: &Host, text: &str) -> String {
    let file = host.scratch().join("config.toml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn count(host: &Host, folder: &str) -> usize {
    std::fs::read_dir(host.root().join("images").join(folder)).map_or(0, |all| all.count())
}

/// A layer of one file with so many bytes that do not compress.
fn noise(name: &str, bytes: usize) -> Vec<u8> {
    let mut seed = name.bytes().fold(88_172_645_463_325_252u64, |a, b| a.rotate_left(5) ^ u64::from(b));
    let content: Vec<u8> = std::iter::repeat_with(|| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as u8
    })
    .take(bytes)
    .collect();
    Archive::new().file(name, &content).end()
}

fn skopeo(host: &Host, line: &str) {
    host.netns.run(&format!("skopeo --insecure-policy {line}"));
}

/// A base layer that runs, and small ones on it.
fn base() -> Vec<u8> {
    let packed = std::fs::read(tests::rootfs("alpine")).unwrap();
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut plain).unwrap();
    plain
}

#[test]
fn every_kind_of_image_is_pulled_and_runs() {
    let host = Host::bare();
    let registry = Real::start(&host, None);
    let fake = Fake::start(&host, "127.0.0.1:5001");
    fake.image("all", &[base(), Archive::new().file("etc/mark", b"second layer\n").end()], |_, _| ());
    // skopeo turns it into each form on its way into the real registry.
    for (tag, flags) in [
        ("oci", "--format oci"),
        ("docker", "--format v2s2"),
        ("zstd", "--format oci --dest-compress-format zstd --dest-compress"),
    ] {
        skopeo(
            &host,
            &format!(
                "copy {flags} --src-tls-verify=false --dest-tls-verify=false docker://127.0.0.1:5001/x:all docker://localhost:5000/t/alpine:{tag}"
            ),
        );
        let name = format!("{}/t/alpine:{tag}", registry.name);
        let said = pull(&host, &name);
        assert!(said.contains("Digest: sha256:") && said.contains("Downloaded newer image"), "{said}");
        assert!(pull(&host, &name).contains("up to date"));
        assert_eq!(host.ok(&["run", "--rm", "--network", "none", &name, "cat", "/etc/mark"]), "second layer");
        // By digest, too.
        let digest = said.lines().find_map(|line| line.strip_prefix("Digest: ")).unwrap();
        let by_digest = format!("{}/t/alpine@{digest}", registry.name);
        assert!(host.ok(&["pull", "-q", &by_digest]).ends_with(digest));
        assert_eq!(host.ok(&["run", "--rm", "--network", "none", &by_digest, "cat", "/etc/mark"]), "second layer");
    }
    // Layers are unpacked once per diff id.
    assert_eq!(count(&host, "layers"), 2);
    assert_eq!(count(&host, "tmp") + count(&host, "partial") + count(&host, "locks"), 0);
}

#[test]
fn an_index_gives_each_platform_its_own() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    let mut entries = Vec::new();
    for (architecture, variant) in [("amd64", ""), ("arm", "v6"), ("arm", "v7")] {
        let tag = format!("{architecture}{variant}");
        let content = Archive::new().file("arch", tag.as_bytes()).end();
        fake.image(&tag, &[content], |_, config| config["architecture"] = json!(architecture));
        let (digest, size) = manifest_of(&host, &fake, &tag);
        let mut platform = json!({ "os": "linux", "architecture": architecture });
        if !variant.is_empty() {
            platform["variant"] = json!(variant);
        }
        entries.push(json!({ "mediaType": OCI_MANIFEST, "digest": digest, "size": size, "platform": platform }));
    }
    let inner = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    fake.manifest("multi", OCI_INDEX, &inner);
    let name = fake.name("x:multi");
    for (platform, expected) in [("linux/arm/v7", "armv7"), ("linux/arm", "armv6"), ("linux/amd64", "amd64")] {
        host.ok(&["pull", "-q", "--platform", platform, &name]);
        let layer = host.inspect(&name, "/RootFS/Layers/0");
        let hex = layer.as_str().unwrap().trim_start_matches("sha256:").to_owned();
        let arch = std::fs::read_to_string(host.root().join("images/layers").join(hex).join("fs/arch")).unwrap();
        assert_eq!(arch, expected);
    }
    let error = rcr(&host, &["pull", "--platform", "linux/s390x", &name], &[]);
    assert!(error.stderr.contains("not made for linux/s390x") && error.stderr.contains("linux/arm/v7"), "{error:?}");
    // An index that leads to itself, or on and on, ends.
    fake.manifest(
        "loop",
        OCI_INDEX,
        &json!({ "schemaVersion": 2, "manifests": [
        { "mediaType": OCI_INDEX, "digest": deep(&fake, 6), "size": 1 } ] }),
    );
    assert!(refused(&host, &fake.name("x:loop")).contains("error"));
}

/// An index in an index in an index …
fn deep(fake: &Fake, levels: usize) -> String {
    let below = if levels == 0 { "sha256:".to_owned() + &"0".repeat(64) } else { deep(fake, levels - 1) };
    fake.manifest(
        &format!("deep{levels}"),
        OCI_INDEX,
        &json!({ "schemaVersion": 2, "manifests": [
        { "mediaType": OCI_INDEX, "digest": below, "size": 1 } ] }),
    )
}

fn manifest_of(host: &Host, fake: &Fake, tag: &str) -> (String, usize) {
    let request = format!("GET /v2/x/manifests/{tag} HTTP/1.0\r\n\r\n");
    let said = host.netns.tcp(&fake.address, &request).unwrap();
    let body = said.split_once("\r\n\r\n").unwrap().1;
    (rcr_images::Digest::of(body.as_bytes()).to_string(), body.len())
}

#[test]
fn pull_policies_are_dockers() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    fake.image("1", &[base()], |_, _| ());
    let name = fake.name("x:1");
    assert!(host.refused(&["run", "--rm", "--pull", "never", &name, "true"]).contains("no such image"));
    host.ok(&["run", "--rm", "--network", "none", &name, "true"]);
    let asked = fake.requests().len();
    host.ok(&["run", "--rm", "--network", "none", &name, "true"]);
    host.ok(&["create", "--pull", "never", "--name", "c", &name, "true"]);
    assert_eq!(fake.requests().len(), asked, "what is there is not asked for");
    // The tag moves: `always` sees it, and the container's image stays.
    let old = host.inspect(&name, "/Id");
    fake.image("1", &[base(), Archive::new().file("new", b"new").end()], |_, _| ());
    assert_eq!(host.ok(&["run", "--rm", "--network", "none", "--pull", "always", &name, "cat", "/new"]), "new");
    assert_ne!(host.inspect(&name, "/Id"), old);
    host.ok(&["image", "prune"]);
    assert_eq!(host.ok(&["start", "-a", "c"]), "");
    host.ok(&["rm", "c"]);
    let pruned = host.ok(&["image", "prune"]);
    assert!(pruned.contains(old.as_str().unwrap()), "{pruned}");
}

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

#[test]
fn a_registry_that_lies_is_found_out_and_nothing_stays() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    let good = || vec![noise("a", 100_000), Archive::new().file("b", b"b").end()];
    let hash = |n: u8| rcr_images::Digest::of(&[n]).to_string();
    type Lie = (&'static str, &'static str, Box<dyn Fn(&mut serde_json::Value, &mut serde_json::Value)>);
    let lies: Vec<Lie> = vec![
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
    ];
    let settings = config(&host, "[images]\nretries = 0\nread_timeout = 2");
    for (tag, expected, lie) in lies {
        fake.image(tag, &good(), lie);
        let ran = rcr(&host, &["--config", &settings, "pull", &fake.name(&format!("x:{tag}"))], &[]);
        assert_eq!(ran.code, 125, "{tag}: {ran:?}");
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
        assert_eq!(ran.code, 125, "{tag}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{tag}: {ran:?}");
        assert!(!host.root().join("images/blobs/sha256").join(&layers[0][7..]).exists());
        assert!(!host.root().join("images/layers").join(&layers[0][7..]).exists());
    }
    fake.manifest("text", "text/html", &json!("<html>"));
    assert!(refused(&host, &fake.name("x:text")).contains("manifest"));
    let wanted = format!("x@sha256:{}", "2".repeat(64));
    assert!(refused(&host, &fake.name(&wanted)).contains("has no image"));
}

#[test]
fn two_pulls_at_once_share_the_work() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    let settings = config(&host, "[images]\nread_timeout = 2");
    let layers = fake.image("1", &[noise("a", 2_000_000), noise("b", 1_000_000)], |_, _| ());
    // The first request hangs for a while: the second pull must come to wait.
    fake.fault(&layers[0], &[Fault::Stall(500_000)]);
    let start = || {
        let mut command = command(&host, &["--config", &settings, "pull", "-q", &fake.name("x:1")], &[]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children = [start(), start(), start()];
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(fake.asked(&layers[0]), 2, "once, and once resumed: {:?}", fake.requests());
    assert_eq!(fake.asked(&layers[1]), 1, "{:?}", fake.requests());
    assert_eq!(count(&host, "locks") + count(&host, "tmp") + count(&host, "partial"), 0);
}

#[test]
fn what_is_damaged_on_disk_is_named_and_fetched_again() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    let layers = fake.image("1", &[base(), noise("b", 100_000)], |_, _| ());
    let name = fake.name("x:1");
    pull(&host, &name);
    let images = host.root().join("images");
    // A packed layer with one bit changed, and its unpacked form gone.
    let blob = images.join("blobs/sha256").join(&layers[1][7..]);
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let saved = host.scratch().join("saved.tar");
    std::fs::write(&saved, "as it was").unwrap();
    let saved = saved.to_str().unwrap();
    assert!(host.refused(&["save", "-o", saved, &name]).contains(&layers[1][7..]));
    assert_eq!(std::fs::read_to_string(saved).unwrap(), "as it was");
    let diff = host.inspect(&name, "/RootFS/Layers/1");
    std::fs::remove_dir_all(images.join("layers").join(&diff.as_str().unwrap()[7..])).unwrap();
    assert!(host.refused(&["run", "--rm", "--pull", "never", &name, "true"]).contains("not unpacked"));
    let ran = rcr(&host, &["run", "--rm", "--network", "none", &name, "true"], &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains(&layers[1][7..]) && ran.stderr.contains("damaged"), "{ran:?}");
    // The config.
    let config = images.join("blobs/sha256").join(&host.inspect(&name, "/Id").as_str().unwrap()[7..]);
    std::fs::write(&config, "{}").unwrap();
    assert!(host.refused(&["run", "--rm", "--pull", "never", &name, "true"]).contains("is damaged"));
    assert_eq!(rcr(&host, &["run", "--rm", "--network", "none", &name, "true"], &[]).code, 0);
    // An explicit pull looks at every packed byte.
    let blob = images.join("blobs/sha256").join(&layers[0][7..]);
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let ran = rcr(&host, &["pull", &name], &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains(&layers[0][7..]) && ran.stderr.contains("damaged"), "{ran:?}");
    host.ok(&["save", "-o", saved, &name]);
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
        assert_eq!(ran.code, 125, "{key}: {ran:?}");
        assert!(ran.stderr.contains(&format!("`{key}` in [images.limits]")), "{key}: {ran:?}");
        assert_eq!(count(&host, "layers") + count(&host, "tmp"), 0, "{key}");
    }
    let ran = rcr(&host, &["--config", &config(&host, "[images.limits]\nentriess = 1"), "images"], &[]);
    assert!(ran.code == 125 && ran.stderr.contains("entriess"), "{ran:?}");
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
        assert_eq!(ran.code, 125, "{ran:?}");
        assert!(ran.stderr.contains(words) && ran.stderr.contains("hint: without a registry"), "{ran:?}");
        assert!(start.elapsed() < Duration::from_secs(8), "{name}: {:?}", start.elapsed());
    }
    // A layer that never comes ends, too.
    let settings = config(&host, "[images]\nread_timeout = 1\nretries = 1");
    let ran = rcr(&host, &["--config", &settings, "pull", &fake.name("x:1")], &[]);
    assert_eq!(ran.code, 125, "{ran:?}");
}

#[test]
fn passwords_are_checked_kept_and_forgotten() {
    let host = Host::bare();
    let registry = Real::start(&host, Some(("me", "secret")));
    let fake = Fake::start(&host, "127.0.0.1:5001");
    fake.image("1", &[base(), Archive::new().file("mark", b"pushed").end()], |_, _| ());
    let name = format!("{}/t/a:1", registry.name);
    host.ok(&["pull", "-q", &fake.name("x:1")]);
    host.ok(&["tag", &fake.name("x:1"), &name]);
    let error = rcr(&host, &["push", &name], &[]);
    assert!(error.code == 125 && error.stderr.contains("rcr login"), "{error:?}");
    let login = |password: &str| {
        let mut command = command(&host, &["login", "-u", "me", "--password-stdin", registry.name], &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), password.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = login("wrong\n");
    assert!(code == 125 && said.contains("does not accept"), "{said}");
    let file = host.scratch().join("docker/config.json");
    assert!(!file.exists());
    let (code, said) = login("secret\n");
    assert!(code == 0 && said.contains("Login Succeeded"), "{said}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let ran = rcr(&host, &["push", &name], &[]);
    assert!(ran.code == 0 && ran.stdout.contains("digest: sha256:"), "{ran:?}");
    // What was pushed is what skopeo and we ourselves find there.
    skopeo(&host, &format!("inspect --tls-verify=false --creds me:secret docker://{name}"));
    host.ok(&["rmi", "-f", &name, &fake.name("x:1")]);
    assert_eq!(count(&host, "layers"), 0);
    pull(&host, &name);
    assert_eq!(host.ok(&["run", "--rm", "--network", "none", &name, "cat", "/mark"]), "pushed");
    assert!(rcr(&host, &["logout", registry.name], &[]).stdout.contains("Removing"));
    assert!(refused(&host, &name).contains("rcr login"));
    assert!(!std::fs::read_to_string(&file).unwrap().contains("localhost:5000"));
}

#[test]
fn tokens_helpers_mirrors_proxies_and_plain_http() {
    let host = Host::bare();
    let fake = Fake::start(&host, "198.51.100.1:5000");
    fake.image("1", &[noise("a", 100_000)], |_, _| ());
    let name = fake.name("x:1");
    // Not on loopback: TLS is spoken, unless the configuration says otherwise.
    assert!(refused(&host, &name).contains("cannot reach the registry"));
    let insecure = config(
        &host,
        "[images]\ninsecure = [\"198.51.100.1:5000\", \"images.example\"]\nmirrors = { \"docker.io\" = [\"198.51.100.1:5000\"] }",
    );
    let with = |args: &[&str], env: &[(&str, &str)]| rcr(&host, &[&["--config", &insecure], args].concat(), env);
    assert_eq!(with(&["pull", &name], &[]).code, 0);
    // A mirror of Docker Hub, asked under the path that is the Hub's.
    assert_eq!(with(&["pull", "x:1"], &[]).code, 0);
    assert!(fake.requests().iter().any(|r| r.contains("/v2/library/x/manifests/1")), "{:?}", fake.requests());
    assert!(host.ok(&["images"]).lines().any(|line| line.starts_with("x ")));
    // A proxy, for a name that only it knows.
    let ran = with(&["pull", "images.example/deep/x:1"], &[("HTTP_PROXY", "http://198.51.100.1:5000")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(fake.requests().iter().any(|r| r.contains("http://images.example/v2/deep/x/")), "{:?}", fake.requests());
    // A token, which a credential helper's user gets.
    fake.need_bearer("bWU6c2VjcmV0");
    host.ok(&["image", "prune", "-a"]);
    assert!(with(&["pull", &name], &[]).stderr.contains("rcr login"));
    let bin = host.scratch().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let helper = bin.join("docker-credential-test");
    std::fs::write(&helper, "#!/bin/sh\nread url\n[ \"$1 $url\" = \"get 198.51.100.1:5000\" ] || exit 1\necho '{\"Username\":\"me\",\"Secret\":\"secret\"}'\n").unwrap();
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    let docker = host.scratch().join("docker");
    std::fs::create_dir_all(&docker).unwrap();
    std::fs::write(docker.join("config.json"), r#"{"credHelpers":{"198.51.100.1:5000":"test"}}"#).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let ran = with(&["pull", &name], &[("PATH", &path)]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn the_processes_that_touch_hostile_bytes_can_do_nothing_else() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    let layers = fake.image("1", &[noise("a", 3_000_000)], |_, _| ());
    fake.fault(&layers[0], &[Fault::Stall(2_000_000)]);
    let mut child = command(&host, &["pull", &fake.name("x:1")], &[]).stdout(Stdio::null()).spawn().unwrap();
    let own = |name: &str| {
        let mut all = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        all.find(|path| {
            let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
            status.contains(&format!("Name:\t{name}\n")) && status.contains(&format!("PPid:\t{}\n", child.id()))
        })
    };
    tests::eventually("the unpacker has begun", || {
        own("rcr-unpack").is_some_and(|p| std::fs::read_link(p.join("root")).is_ok_and(|root| root != Path::new("/")))
    });
    let field = |path: &PathBuf, name: &str| {
        let status = std::fs::read_to_string(path.join("status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix(&format!("{name}:\t")).map(str::to_owned)).unwrap()
    };
    let (unpack, registry) = (own("rcr-unpack").unwrap(), own("rcr-registry").unwrap());
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP (capabilities(7)).
    let file_powers: u64 = [0, 1, 3, 4, 27, 31].iter().map(|bit| 1u64 << bit).sum();
    for set in ["CapEff", "CapPrm"] {
        assert_eq!(u64::from_str_radix(&field(&unpack, set), 16).unwrap() & !file_powers, 0, "{set}");
        assert_eq!(u64::from_str_radix(&field(&registry, set), 16).unwrap(), 0, "{set}");
    }
    for process in [&unpack, &registry] {
        assert_eq!(field(process, "CapInh").trim_start_matches('0'), "");
        assert_eq!(field(process, "NoNewPrivs"), "1");
    }
    let root = std::fs::read_link(unpack.join("root")).unwrap();
    assert!(root.starts_with(host.root().join("images/tmp")), "{root:?}");
    let netns = |path: &PathBuf| std::fs::read_link(path.join("ns/net")).unwrap();
    assert_ne!(netns(&unpack), netns(&registry));
    // Nothing is open but what it was given.
    let open =
        std::fs::read_dir(unpack.join("fd")).unwrap().flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
    for target in open {
        let inside = target.starts_with(&root) || target.starts_with(host.root().join("images/partial"));
        assert!(inside || target.to_string_lossy().starts_with("pipe:"), "{target:?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_full_disk_leaves_only_what_can_be_resumed() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    fake.image("1", &[noise("a", 3_000_000), noise("b", 3_000_000)], |_, _| ());
    // A file system of 5 MB, in a mount namespace of the command's own.
    let images = host.root().join("images");
    std::fs::create_dir_all(&images).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=5m none {0} && {1} pull {2}; echo code $?; ls {0}/layers {0}/tmp {0}/blobs/sha256; \
         mount -o remount,size=50m {0} && {1} pull -q {2} && ls {0}/layers | wc -l",
        images.display(),
        tests::bin().join("rcr").display(),
        fake.name("x:1")
    );
    let mut command = host.netns.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    let output = command.env("RCR_ROOT", host.root()).env("RCR_RUN", host.run_dir()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("code 125") && err.contains("ENOSPC"), "{out}{err}");
    let left = out.split("code 125").nth(1).unwrap();
    assert!(left.contains("layers:\n\n") && left.contains("tmp:\n"), "{out}{err}");
    assert!(out.trim_end().ends_with('2'), "with room the rest comes: {out}{err}");
}
