//! `image check`: damage on the disk is found, named, and put right; and images for other platforms.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tests::archive::Archive;
use tests::images::base;
use tests::registry::{Fake, OCI_INDEX, OCI_MANIFEST};
use tests::{Host, Ran};

fn layer(host: &Host, name: &str, at: usize) -> PathBuf {
    let diff = host.inspect(name, &format!("/RootFS/Layers/{at}"));
    host.root().join("images/layers").join(&diff.as_str().unwrap()[7..]).join("fs")
}

#[track_caller]
fn check(host: &Host, args: &[&str], code: i32) -> Ran {
    let ran = host.rcr(&[&["image", "check"], args].concat());
    assert_eq!(ran.code, code, "{ran:?}");
    ran
}

#[test]
fn a_changed_layer_is_named_and_made_anew() {
    let host = Host::bare();
    let file = tests::rootfs("alpine");
    host.ok(&["image", "import", file.to_str().unwrap(), "alpine"]);
    assert!(check(&host, &[], 0).stdout.contains("1 images, 1 layers: 0 damaged"));
    let fs = layer(&host, "alpine", 0);
    std::fs::write(fs.join("etc/passwd"), "root::0:0:::/bin/sh\n").unwrap();
    std::fs::remove_file(fs.join("etc/group")).unwrap();
    std::fs::write(fs.join("etc/new"), "").unwrap();
    std::fs::set_permissions(fs.join("bin/busybox"), Permissions::from_mode(0o4755)).unwrap();
    host.netns.run(&format!("setfattr -n user.x -v y {}/etc/hosts", fs.display()));
    let said = check(&host, &["alpine"], 1);
    for part in
        ["`/etc/passwd` has ", "`/etc/group` is gone", "`/etc/new` does not belong to it", "`/bin/busybox` has another"]
    {
        assert!(said.stdout.contains(part), "{part}: {said:?}");
    }
    assert!(said.stdout.contains("`/etc/hosts` has other extended") && said.stderr.contains("hint: "), "{said:?}");
    // What is mounted is not taken away from under a container.
    host.ok(&["run", "-d", "--name", "c", "--network", "none", "alpine", "sleep", "1d"]);
    assert!(check(&host, &["--repair"], 1).stdout.contains("a running container uses it"));
    host.ok(&["rm", "-f", "c"]);
    assert!(check(&host, &["--repair"], 0).stdout.contains("repaired: "));
    assert!(std::fs::read_to_string(fs.join("etc/passwd")).unwrap().contains("root:x:0:0"));
    check(&host, &[], 0);
    assert_eq!(std::fs::read_dir(host.root().join("images/tmp")).unwrap().count(), 0);
    assert_eq!(host.ok(&["run", "--rm", "--network", "none", "alpine", "echo", "well"]), "well");
}

#[test]
fn a_damaged_packed_layer_is_pulled_again() {
    let host = Host::bare();
    let fake = Fake::start(&host, "127.0.0.1:5003");
    let above = Archive::new().folder("d").file("d/f", b"above").file("d/.wh..wh..opq", b"").file(".wh.media", b"");
    let layers = fake.image("1", &[base(), above.end()], |_, _| ());
    let name = fake.name("x:1");
    host.ok(&["pull", "-q", &name]);
    check(&host, &[], 0);
    let blob = host.root().join("images/blobs/sha256").join(&layers[1][7..]);
    std::fs::write(&blob, "no layer").unwrap();
    assert!(check(&host, &[], 1).stdout.contains(&layers[1][7..]));
    let asked = fake.asked(&layers[1]);
    assert!(check(&host, &["--repair"], 0).stdout.contains("1 repaired"));
    assert_eq!((fake.asked(&layers[1]) - asked, fake.asked(&layers[0])), (1, 1), "only that one");
    check(&host, &[], 0);
    // Where nobody can be asked, it stays damaged and says so; the image that is left is not run.
    std::fs::write(&blob, "no layer").unwrap();
    drop(fake);
    let ran = check(&host, &["--repair"], 1);
    assert!(ran.stdout.contains("1 damaged") && ran.stderr.contains("cannot pull"), "{ran:?}");
}

#[test]
fn a_platform_is_chosen_by_run_as_by_pull() {
    let host = Host::bare();
    let fake = Fake::start(&host, "127.0.0.1:5004");
    let mut entries = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let content = Archive::new().file("arch", architecture.as_bytes()).end();
        fake.image(architecture, &[base(), content], |_, config| config["architecture"] = json!(architecture));
        let said =
            host.netns.tcp(&fake.address, &format!("GET /v2/x/manifests/{architecture} HTTP/1.0\r\n\r\n")).unwrap();
        let body = said.split_once("\r\n\r\n").unwrap().1;
        let digest = rcr_images::Digest::of(body.as_bytes()).to_string();
        let platform = json!({ "os": "linux", "architecture": architecture });
        entries.push(json!({ "mediaType": OCI_MANIFEST, "digest": digest, "size": body.len(), "platform": platform }));
    }
    fake.manifest("multi", OCI_INDEX, &json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries }));
    let name = fake.name("x:multi");
    let run =
        |flags: &[&str]| host.rcr(&[&["run", "--rm", "--network", "none"], flags, &[&name, "cat", "/arch"]].concat());
    assert_eq!(run(&["--platform", "linux/arm64"]).stdout, "arm64", "its programs are this machine's, in this test");
    let other = run(&[]);
    assert!(
        other.stdout == "arm64" && other.stderr.contains("warning: ") && other.stderr.contains("linux/arm64"),
        "{other:?}"
    );
    assert!(run(&["--platform", "linux/amd64", "--pull", "never"]).code == 125);
    let own = run(&["--platform", "linux/amd64"]);
    assert!(own.stdout == "amd64" && !own.stderr.contains("warning"), "{own:?}");
    assert!(run(&["--platform", "a/b/c/d"]).stderr.contains("expected os/architecture"));
}
