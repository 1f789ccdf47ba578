//! Archives: what we save others load, and what they save we load.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use tests::Host;
use tests::archive::Archive;
use tests::images::base;
use tests::registry::Fake;

/// An image of two layers with a name, and a container's worth of config.
fn image(host: &Host) -> String {
    let fake = Fake::start(host, "127.0.0.1:5001");
    let second = Archive::new().file("etc/mark", b"second layer\n").entry("bin/sh2", b'2', "sh", b"").end();
    fake.image("1", &[base(), second], |_, config| {
        config["config"]["Env"] = serde_json::json!(["A=b"]);
        config["history"] = serde_json::json!([{ "created": "2026-01-02T03:04:05Z", "created_by": "first" }, { "created_by": "empty", "empty_layer": true }, { "created_by": "second" }]);
    });
    host.ok(&["pull", "-q", &fake.name("x:1")]);
    host.ok(&["tag", &fake.name("x:1"), "two/layers:1"]);
    host.ok(&["rmi", &fake.name("x:1")]);
    "two/layers:1".into()
}

#[track_caller]
fn runs(host: &Host, name: &str) {
    let said = host.ok(&["run", "--rm", "--network", "none", name, "sh2", "-c", "echo $A; cat /etc/mark"]);
    assert_eq!(said, "b\nsecond layer", "{name}");
}

fn layers(host: &Host, name: &str) -> serde_json::Value {
    host.inspect(name, "/RootFS/Layers")
}

#[test]
fn what_we_save_skopeo_takes_and_what_it_writes_we_load() {
    let host = Host::bare();
    let name = image(&host);
    let diff_ids = layers(&host, &name);
    let dir = host.scratch();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    for format in ["docker-archive", "oci-archive", "oci-dir"] {
        let saved = path(&format!("saved-{format}"));
        host.ok(&["save", "--format", format, "-o", &saved, &name]);
        let transport = if format == "oci-dir" { "oci" } else { format };
        for (to, end) in [("docker-archive", ":other/name:2"), ("oci-archive", ":other/name:2"), ("oci", "")] {
            let other = path(&format!("{format}-{to}"));
            host.netns.run(&format!("skopeo --insecure-policy copy {transport}:{saved} {to}:{other}{end}"));
            host.ok(&["image", "prune", "-af"]);
            let loaded = host.ok(&["load", "-i", &other]);
            let name = loaded.rsplit(": ").next().unwrap().to_owned();
            if !end.is_empty() {
                assert_eq!(loaded, "Loaded image: other/name:2");
            }
            assert_eq!(layers(&host, &name), diff_ids, "{format} by way of {to}");
            runs(&host, &name);
        }
        host.ok(&["image", "prune", "-af"]);
        assert_eq!(host.ok(&["load", "-i", &saved]), "Loaded image: two/layers:1");
        runs(&host, &name);
    }
}

#[test]
fn podman_takes_what_we_save_and_gives_it_back() {
    let host = Host::bare();
    let name = image(&host);
    let diff_ids = layers(&host, &name);
    let dir = host.scratch();
    // In the host's own namespace, with storage of its own: podman changes what it finds.
    let podman = |args: &str| {
        let line = format!(
            "podman --root {0}/podman --runroot {0}/podman-run --tmpdir {0}/podman-tmp --storage-driver vfs {args}",
            dir.display()
        );
        host.netns.run(&line)
    };
    for format in ["docker-archive", "oci-archive"] {
        let file = |what: &str| dir.join(format!("{what}-{format}.tar")).to_str().unwrap().to_owned();
        host.ok(&["save", "--format", format, "-o", &file("ours"), &name]);
        assert!(podman(&format!("load -q -i {}", file("ours"))).contains("two/layers:1"));
        podman(&format!("save -q --format {format} -o {} two/layers:1", file("theirs")));
        host.ok(&["image", "prune", "-af"]);
        let loaded = host.ok(&["load", "-i", &file("theirs")]);
        let theirs = loaded.rsplit_once("image: ").unwrap().1.to_owned();
        assert!(theirs.ends_with("two/layers:1"), "{loaded}");
        assert_eq!(layers(&host, &theirs), diff_ids);
        runs(&host, &theirs);
        host.ok(&["image", "prune", "-af"]);
        host.ok(&["load", "-i", &file("ours")]);
    }
}

#[test]
fn pipes_packed_archives_several_names_and_history() {
    let host = Host::bare();
    let name = image(&host);
    host.ok(&["tag", &name, "three:1"]);
    host.ok(&["tag", &name, "localhost:5000/four:2"]);
    let saved = host.scratch().join("s.tar");
    let file = std::fs::File::create(&saved).unwrap();
    let mut command = host.command(&["save", &name, "three:1", "localhost:5000/four:2"]);
    assert!(command.stdout(file).status().unwrap().success());
    // The same images make the same bytes.
    let again = host.scratch().join("again.tar");
    host.ok(&["save", "-o", again.to_str().unwrap(), &name, "three:1", "localhost:5000/four:2"]);
    assert!(std::fs::read(&saved).unwrap() == std::fs::read(&again).unwrap());
    for packer in ["gzip", "zstd -q", "cat"] {
        host.ok(&["image", "prune", "-af"]);
        let packed = host.scratch().join("packed");
        let script = format!("{packer} < {} > {}", saved.display(), packed.display());
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
        let mut command = host.command(&["load"]);
        let output = command.stdin(std::fs::File::open(&packed).unwrap()).stderr(Stdio::inherit()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        for name in ["two/layers:1", "three:1", "localhost:5000/four:2"] {
            assert!(said.contains(&format!("Loaded image: {name}\n")), "{packer}: {said}");
        }
        runs(&host, "three:1");
        assert_eq!(host.ok(&["images", "-q"]).lines().count(), 1);
    }
    let history = host.ok(&["history", "--no-trunc", "--format", "json", &name]);
    let steps: Vec<serde_json::Value> = history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        steps.iter().map(|s| s["CreatedBy"].as_str().unwrap()).collect::<Vec<_>>(),
        ["second", "empty", "first"]
    );
    assert_eq!(steps[1]["Size"], "0B");
    assert!(host.ok(&["history", &name]).starts_with("IMAGE"));
}

fn tar(host: &Host, files: &[(&str, &[u8])]) -> PathBuf {
    let archive = files.iter().fold(Archive::new(), |archive, (name, content)| archive.file(name, content));
    let path = host.scratch().join("evil.tar");
    std::fs::write(&path, archive.end()).unwrap();
    path
}

#[test]
fn hostile_archives_of_images_change_nothing_outside() {
    let host = Host::bare();
    let secret = host.scratch().join("secret");
    std::fs::write(&secret, "safe").unwrap();
    let up = format!("{}{}", "../".repeat(20), secret.to_str().unwrap().trim_start_matches('/'));
    let whole = secret.to_str().unwrap().to_owned();
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;
    let list =
        |config: &str, layer: &str| format!(r#"[{{"Config":"{config}","RepoTags":["x:1"],"Layers":["{layer}"]}}]"#);
    let load = |path: &Path, expected: &str| {
        let error = host.refused(&["load", "-i", path.to_str().unwrap()]);
        assert!(error.contains(expected) && !error.contains("panicked"), "expected {expected}: {error}");
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "safe");
        assert_eq!(std::fs::read_dir(host.root().join("images/tmp")).unwrap().count(), 0);
        assert_eq!(host.ok(&["images", "-q"]), "");
    };
    for outside in [&up, &whole] {
        load(&tar(&host, &[("manifest.json", list(outside, "l").as_bytes())]), "has no");
        load(&tar(&host, &[("manifest.json", list("c", outside).as_bytes()), ("c", config)]), "has no");
    }
    // By way of symlinks of the archive's own; FIFOs and devices where files are expected.
    let list = list("c", "l");
    let begun = || Archive::new().file("manifest.json", list.as_bytes());
    for (archive, expected) in [
        (begun().entry("c", b'2', &whole, b""), "has no"),
        (begun().entry("c", b'6', "", b""), "not a regular file"),
        (begun().entry("c", b'3', "", b""), "not a regular file"),
        (begun().file("c", config).entry("l", b'6', "", b""), "not a regular file"),
        (begun().file("c", config).file("l", b"no tar at all, but long enough to be looked at"), "error"),
        (begun().file("c", config).file("l", &Archive::new().file("f", b"f").end()), "not to sha256"),
        (begun().file("c", b"{}"), "config"),
        (Archive::new().file("manifest.json", b"[]"), "no image"),
        (Archive::new().file("index.json", b"{}"), "manifest"),
        (Archive::new().file("index.json", br#"{"schemaVersion":2,"manifests":[]}"#), "no image"),
        (Archive::new().file("other", b""), "neither"),
    ] {
        let path = host.scratch().join("evil.tar");
        std::fs::write(&path, archive.end()).unwrap();
        load(&path, expected);
    }
    // A folder that is handed over is read with the same care.
    let folder = host.scratch().join("folder");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(&secret, folder.join("index.json")).unwrap();
    load(&folder, "neither");
    std::fs::remove_file(folder.join("index.json")).unwrap();
    nix::unistd::mkfifo(&folder.join("index.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    load(&folder, "not a regular file");
}
