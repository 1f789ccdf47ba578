//! Real images, there and back: nginx in layers on a base that it shares, and a real Alpine where there is one, by way
//! of podman, skopeo, umoci and Debian's docker-registry.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use tests::Host;
use tests::archive::{Archive, gzip};
use tests::images::{base, count, real_alpine, skopeo};
use tests::registry::Real;

/// One image, and what it says when it runs.
struct Image<'a> {
    name: &'a str,
    run: [&'a str; 3],
    says: &'a str,
}

struct Way<'a> {
    host: &'a Host,
    image: &'a Image<'a>,
    diff_ids: Value,
}

impl Way<'_> {
    fn path(&self, what: &str) -> String {
        self.host.scratch().join(what).to_str().unwrap().to_owned()
    }

    /// podman with storage of its own.
    fn podman(&self, args: &str) -> String {
        let own = self.host.scratch();
        let own = own.display();
        let storage = format!("--root {own}/podman --runroot {own}/podman-run --tmpdir {own}/podman-tmp");
        self.host.netns.run(&format!("podman {storage} --storage-driver vfs {args}"))
    }

    /// An archive that came from elsewhere is the same image, and runs.
    #[track_caller]
    fn comes_back(&self, archive: &str) {
        self.host.ok(&["image", "prune", "-af"]);
        let said = self.host.ok(&["load", "-i", archive]);
        self.is_whole(said.rsplit_once("image: ").unwrap().1);
    }

    #[track_caller]
    fn is_whole(&self, name: &str) {
        assert_eq!(self.host.inspect(name, "/RootFS/Layers"), self.diff_ids, "{name}");
        let run = [&["run", "--rm", "--network", "none", name][..], &self.image.run].concat();
        let said = self.host.ok(&run);
        assert!(said.contains(self.image.says), "{name}: {said}");
        assert!(self.host.ok(&["image", "check", name]).contains("0 damaged"));
    }
}

fn there_and_back(host: &Host, registry: &Real, image: &Image) {
    let way = Way { host, image, diff_ids: host.inspect(image.name, "/RootFS/Layers") };
    way.is_whole(image.name);
    let ours = way.path("ours");
    for (format, theirs) in [("docker-archive", "oci-archive"), ("oci-archive", "docker-archive")] {
        let (file, other) = (format!("{ours}-{format}.tar"), way.path(&format!("podman-{theirs}.tar")));
        host.ok(&["save", "--format", format, "-o", &file, image.name]);
        way.podman(&format!("load -q -i {file}"));
        way.podman(&format!("save -q --format {theirs} -o {other} {}", image.name));
        way.comes_back(&other);
        host.ok(&["image", "prune", "-af"]);
        host.ok(&["load", "-i", &file]);
    }
    // Ours to a registry, podman's and skopeo's way back.
    let pushed = format!("{}/ours/image:1", registry.name);
    host.ok(&["tag", image.name, &pushed]);
    host.ok(&["push", "-q", &pushed]);
    way.podman(&format!("pull -q --tls-verify=false {pushed}"));
    let other = way.path("pulled-by-podman.tar");
    way.podman(&format!("save -q -o {other} {pushed}"));
    way.comes_back(&other);
    let other = way.path("copied-by-skopeo.tar");
    skopeo(host, &format!("copy --src-tls-verify=false docker://{pushed} oci-archive:{other}:x/y:1"));
    way.comes_back(&other);
    // Theirs to a registry, our way back.
    let theirs = format!("{}/theirs/image", registry.name);
    way.podman(&format!("push -q --tls-verify=false {pushed} {theirs}:podman"));
    let file = format!("{ours}-oci-archive.tar");
    let copied = format!("docker://{theirs}:skopeo");
    skopeo(host, &format!("copy --dest-tls-verify=false --format v2s2 oci-archive:{file} {copied}"));
    for tag in ["podman", "skopeo"] {
        host.ok(&["image", "prune", "-af"]);
        host.ok(&["pull", "-q", &format!("{theirs}:{tag}")]);
        way.is_whole(&format!("{theirs}:{tag}"));
    }
    for file in
        host.scratch().read_dir().unwrap().flatten().filter(|e| e.path().extension().is_some_and(|e| e == "tar"))
    {
        std::fs::remove_file(file.path()).unwrap();
    }
}

#[test]
fn nginx_goes_there_and_back_and_shares_its_base() {
    let host = Host::bare();
    let registry = Real::start(&host, None);
    host.ok(&["image", "import", tests::rootfs("alpine").to_str().unwrap(), "alpine"]);
    host.import_nginx();
    // The base is there once, as a layer of both.
    assert_eq!(count(&host, "layers"), 3);
    assert_eq!(host.inspect("nginx", "/RootFS/Layers/0"), host.inspect("alpine", "/RootFS/Layers/0"));
    host.ok(&["rmi", "alpine"]);
    assert_eq!(count(&host, "layers"), 3);
    let script = "nginx -v 2>&1; cat /usr/share/nginx/html/index.html";
    let image = Image { name: "docker.io/library/nginx:latest", run: ["sh", "-c", script], says: "Welcome to nginx" };
    there_and_back(&host, &registry, &image);
}

#[test]
fn alpine_goes_there_and_back() {
    let host = Host::bare();
    let registry = Real::start(&host, None);
    // A real one, or else the project's own, which is made like one.
    let (file, says) = match real_alpine() {
        Some(file) => (file, "NAME=\"Alpine Linux\""),
        None => (tests::rootfs("alpine"), "NAME="),
    };
    println!("with {}", file.display());
    host.ok(&["image", "import", file.to_str().unwrap(), "docker.io/library/alpine:3"]);
    let image = Image { name: "docker.io/library/alpine:3", run: ["sh", "-c", "cat /etc/os-release"], says };
    there_and_back(&host, &registry, &image);
}

#[test]
fn archives_of_older_dockers_are_taken() {
    let host = Host::bare();
    // Before Docker 25: a folder per layer, where a layer that two images share is a symlink in the second; one may be
    // packed.
    let (first, second) = (base(), Archive::new().file("mark", b"above").end());
    let digest = |bytes: &[u8]| rcr_images::Digest::of(bytes).to_string();
    let config = |all: &[&[u8]]| {
        let ids: Vec<String> = all.iter().map(|layer| digest(layer)).collect();
        serde_json::json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": ids } })
            .to_string()
    };
    let (one, two) = (config(&[&first]), config(&[&first, &second]));
    let list = serde_json::json!([
        { "Config": "one.json", "RepoTags": ["one:1", "one:2"], "Layers": ["a/layer.tar"] },
        { "Config": "two.json", "RepoTags": null, "Layers": ["b/layer.tar", "c/layer.tar"] },
    ]);
    let archive = Archive::new()
        .folder("a")
        .file("a/VERSION", b"1.0")
        .file("a/json", b"{}")
        .file("a/layer.tar", &first)
        .folder("b")
        .entry("b/layer.tar", b'2', "../a/layer.tar", b"")
        .folder("c")
        .file("c/layer.tar", &gzip(&second))
        .file("one.json", one.as_bytes())
        .file("two.json", two.as_bytes())
        .file("manifest.json", list.to_string().as_bytes())
        .file("repositories", b"{}");
    let file = host.scratch().join("old.tar");
    std::fs::write(&file, archive.end()).unwrap();
    let said = host.ok(&["load", "-i", file.to_str().unwrap()]);
    let id = digest(two.as_bytes());
    assert_eq!(said, format!("Loaded image: one:1\nLoaded image: one:2\nLoaded image ID: {id}"));
    assert_eq!(count(&host, "layers"), 2);
    assert_eq!(host.ok(&["run", "--rm", "--network", "none", &id, "cat", "/mark"]), "above");
    assert_eq!(host.ok(&["run", "--rm", "--network", "none", "one:2", "echo", "well"]), "well");
    // From a folder that it was unpacked to.
    let folder = host.scratch().join("unpacked");
    std::fs::create_dir(&folder).unwrap();
    host.netns.run(&format!("tar -C {} -xf {}", folder.display(), file.display()));
    host.ok(&["image", "prune", "-af"]);
    assert_eq!(host.ok(&["load", "-i", folder.to_str().unwrap()]), said);
}
