//! Registries: what they hold comes over, whole, once, and as its name says.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use std::process::{Command, Stdio};
use tests::Host;
use tests::archive::Archive;
use tests::images::{base, command, config, count, noise, pull, rcr, refused, skopeo};
use tests::registry::{Fake, Fault, OCI_INDEX, OCI_MANIFEST, Real};
use tests::terminal::Terminal;

const FAKE: &str = "127.0.0.1:5000";

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
    assert!(
        error.stderr.contains("does not support linux/s390x") && error.stderr.contains("linux/arm/v7"),
        "{error:?}"
    );
    // An image without an index is for what it says.
    let ran = rcr(&host, &["pull", "--platform", "linux/arm64", &fake.name("x:amd64")], &[]);
    assert!(ran.code == 1 && ran.stderr.contains("`--platform` takes one of linux/amd64"), "{ran:?}");
    assert_eq!(rcr(&host, &["pull", "--platform", "linux/amd64", &fake.name("x:amd64")], &[]).code, 0);
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
    host.ok(&["image", "prune", "-f"]);
    assert_eq!(host.ok(&["start", "-a", "c"]), "");
    host.ok(&["rm", "c"]);
    let pruned = host.ok(&["image", "prune", "-f"]);
    assert!(pruned.contains(old.as_str().unwrap()), "{pruned}");
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
fn a_terminal_sees_bars_and_a_pipe_lines() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    let layers = fake.image("1", &[noise("a", 3_000_000), noise("b", 100_000)], |_, _| ());
    let name = fake.name("x:1");
    let short = |n: usize| layers[n]["sha256:".len()..][..12].to_owned();
    // The first stops for a second in the middle of its layer.
    fake.fault(&layers[0], &[Fault::Stall(1_500_000)]);
    let settings = config(&host, "[images]\nread_timeout = 1");
    let mut terminal = Terminal::start(command_on_terminal(&host, &["--config", &settings, "pull", &name]));
    terminal.expect(&format!("{}: [=====", short(0)));
    terminal.expect("MB / ");
    terminal.expect("Status: Downloaded newer image");
    assert_eq!(terminal.wait(), 0);
    let seen = terminal.seen();
    assert!(seen.contains(&format!("{}: pulled", short(0))) && seen.contains("\u{1b}[2A"), "{seen:?}");
    assert!(seen.contains("trying again"), "{seen:?}");
    // On a narrow one each layer still has one line: else what is drawn over would not be what was drawn.
    host.ok(&["image", "prune", "-af"]);
    fake.fault(&layers[0], &[Fault::Stall(1_500_000)]);
    let terminal = Terminal::start(command_on_terminal(&host, &["--config", &settings, "pull", &name]));
    terminal.resize(24, 40);
    terminal.expect("Downloaded");
    let longest = |line: &str| line.split("\u{1b}[").next().unwrap_or_default().chars().count();
    let all = terminal.seen();
    let drawn = all.lines().skip_while(|line| !line.contains("trying again"));
    assert!(drawn.filter(|line| line.contains(&short(0))).all(|line| longest(line) <= 40), "{all:?}");
    // In a pipe: a line for what is done, and nothing that moves a cursor.
    host.ok(&["image", "prune", "-af"]);
    let ran = rcr(&host, &["pull", &name], &[]);
    assert!(ran.stderr.contains(&format!("{}: pulled\n", short(0))) && !ran.stderr.contains('\u{1b}'), "{ran:?}");
    let again = rcr(&host, &["pull", &name], &[]);
    assert!(again.stderr.contains(&format!("{}: already exists\n", short(1))), "{again:?}");
    let quiet = rcr(&host, &["pull", "-q", &name], &[]);
    assert!(quiet.stderr.is_empty() && quiet.stdout.trim() == name, "{quiet:?}");
}

fn command_on_terminal(host: &Host, args: &[&str]) -> Command {
    let mut command = host.command(args);
    command.env("DOCKER_CONFIG", host.scratch().join("docker")).env("TERM", "xterm");
    command
}
