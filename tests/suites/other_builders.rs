//! Images as other builders write them: legal, odd, or with things beside them. They load, they run, and what can't be
//! honoured is named.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};
use tests::Host;
use tests::archive::Archive;
use tests::images::{base, config_of as config, count, digest, docker_archive as docker, pull, skopeo};
use tests::registry::Real;

fn hex(bytes: &[u8]) -> String {
    digest(bytes)["sha256:".len()..].to_owned()
}

fn load(host: &Host, path: &std::path::Path) -> tests::Ran {
    host.rcr(&["load", "-i", path.to_str().unwrap()])
}

#[track_caller]
fn run(host: &Host, name: &str, script: &str) -> String {
    host.ok(&["run", "--rm", "--network", "none", &format!("{name}:1"), "sh", "-c", script])
}

#[test]
fn one_layer_many_times_and_empty_ones() {
    let host = Host::bare();
    let empty = Archive::new().end();
    let nothing = vec![0u8; 512 * 20];
    let a = Archive::new().folder("d").file("d/a", b"a").file("d/same", b"from a").end();
    let b = Archive::new().file("d/.wh.a", b"").file("d/same", b"from b").end();
    let layers = [
        base(),
        empty.clone(),
        a.clone(),
        empty.clone(),
        b.clone(),
        a.clone(),
        empty.clone(),
        nothing,
        empty,
        b.clone(),
    ];
    let path = docker(&host, "many", &layers, &config(&layers, json!({})));
    load(&host, &path).expect_code(0);
    // b lies above the last a.
    assert_eq!(run(&host, "many", "ls d; cat d/same"), "same\nfrom b");
    let layers = [base(), b, a.clone(), a];
    let path = docker(&host, "twice", &layers, &config(&layers, json!({})));
    load(&host, &path).expect_code(0);
    assert_eq!(run(&host, "twice", "ls d; cat d/same"), "a\nsame\nfrom a");
    // It can be saved, and loaded from that.
    let saved = host.scratch().join("saved.tar");
    host.ok(&["save", "-o", saved.to_str().unwrap(), "many:1"]);
    host.ok(&["rmi", "many:1", "twice:1"]);
    load(&host, &saved).expect_code(0);
    assert_eq!(run(&host, "many", "cat d/same"), "from b");
}

/// The host's busybox, which is static.
fn static_program() -> &'static str {
    let found = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| std::path::Path::new(path).exists());
    found.expect("busybox is needed: make setup-test")
}

/// Runs a static program of the host in an image that has nothing, with a new volume and one that the image wants.
#[track_caller]
fn in_nothing(host: &Host, name: &str, script: &str) -> String {
    let bind = format!("{}:/bin/busybox:ro", static_program());
    host.ok(&["run", "--rm", "-v", &bind, "-v", "fresh:/fresh", name, "/bin/busybox", "sh", "-c", script])
}

#[test]
fn images_without_a_layer() {
    let host = Host::bare();
    let registry = Real::start(&host, None);
    let all = config(&[], json!({"Env": ["WHO=nothing"], "Volumes": {"/data": {}}, "WorkingDir": "/made/of/nothing"}));
    let script = "b=/bin/busybox; $b pwd; echo $WHO; echo x > /data/x && echo x > /fresh/x && echo x > /x && $b cat /x; $b stat -c %a /";
    let want = "/made/of/nothing\nnothing\nx\n755";
    let load_it = |name: &str| {
        let ran = load(&host, &host.scratch().join(format!("{name}.tar")));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}: {ran:?}");
    };
    // As Docker saves it, and with what a list of nothing may look like.
    docker(&host, "none", &[], &all);
    load_it("none");
    assert_eq!(in_nothing(&host, "none:1", script), want);
    for (name, ids, layers) in [("null", Some(Value::Null), Value::Null), ("missing", None, Value::Null)] {
        let mut odd = all.clone();
        match ids {
            Some(ids) => odd["rootfs"]["diff_ids"] = ids,
            None => drop(odd["rootfs"].as_object_mut().unwrap().remove("diff_ids")),
        }
        let list = json!([{ "Config": "c.json", "RepoTags": [format!("{name}:1")], "Layers": layers }]);
        let archive = Archive::new().file("c.json", odd.to_string().as_bytes());
        let bytes = archive.file("manifest.json", list.to_string().as_bytes()).end();
        std::fs::write(host.scratch().join(format!("{name}.tar")), bytes).unwrap();
        load_it(name);
        assert_eq!(in_nothing(&host, &format!("{name}:1"), script), want, "{name}");
    }
    // As a real builder begins each of its images.
    let folder = host.scratch();
    let (layout, file) = (folder.join("layout"), folder.join("umoci.tar"));
    host.netns.run(&format!("umoci init --layout {}", layout.display()));
    host.netns.run(&format!("umoci new --image {}:1", layout.display()));
    host.netns.run(&format!("umoci config --image {}:1 --config.env WHO=nothing", layout.display()));
    skopeo(&host, &format!("copy oci:{}:1 oci-archive:{}:umoci:1", layout.display(), file.display()));
    load_it("umoci");
    assert_eq!(in_nothing(&host, "umoci:1", "echo $WHO"), "nothing");
    // What is not there is named; a start that failed leaves nothing.
    let ran = host.rcr(&["run", "--rm", "none:1", "sh"]);
    assert!(ran.code == 127 && ran.stderr.contains("sh"), "{ran:?}");
    assert_eq!(host.ok(&["ps", "-aq"]), "");
    // Out and in again, by an archive and by a registry; it can be stopped and started, too.
    let saved = folder.join("saved.tar");
    host.ok(&["save", "-o", saved.to_str().unwrap(), "none:1"]);
    let name = format!("{}/none:1", registry.name);
    host.ok(&["image", "tag", "none:1", &name]);
    host.ok(&["push", &name]);
    for image in ["none:1", "null:1", "missing:1", "umoci:1", &name] {
        host.ok(&["rmi", image]);
    }
    load_it("saved");
    assert_eq!(in_nothing(&host, "none:1", script), want);
    pull(&host, &name);
    assert_eq!(in_nothing(&host, &name, script), want);
    let bind = format!("{}:/busybox:ro", static_program());
    host.ok(&["run", "-d", "--name", "stays", "-v", &bind, &name, "/busybox", "sleep", "1000"]);
    host.ok(&["exec", "stays", "/busybox", "touch", "/mine"]);
    host.ok(&["restart", "-t", "0", "stays"]);
    host.ok(&["exec", "stays", "/busybox", "test", "-e", "/mine"]);
    host.ok(&["image", "check"]);
}

#[test]
fn marks_of_aufs_are_passed_over_and_its_links_work() {
    let host = Host::bare();
    let old = Archive::new()
        .file(".wh..wh.aufs", b"")
        .folder(".wh..wh.orph")
        .file(".wh..wh.orph/left", b"x")
        .folder(".wh..wh.plnk")
        .file(".wh..wh.plnk/12.34", b"one file, two names\n")
        .entry("first", b'1', ".wh..wh.plnk/12.34", b"")
        .entry("second", b'1', "first", b"")
        .folder("deep")
        .file("deep/.wh..wh.tmp", b"")
        .file("deep/kept", b"kept\n")
        .end();
    let layers = [base(), old];
    let path = docker(&host, "aufs", &layers, &config(&layers, json!({})));
    load(&host, &path).expect_code(0);
    let said = run(&host, "aufs", "cat /first /second /deep/kept; ls -a / /deep | grep -c 'wh\\.' ; stat -c %h /first");
    assert_eq!(said, "one file, two names\none file, two names\nkept\n0\n2");
}

#[test]
fn sizes_of_what_has_no_content_mean_nothing() {
    let host = Host::bare();
    let odd = Archive::new()
        .raw(b"dir", b'5', "", b"", 4096, "0000755")
        .file("dir/one", b"1\n")
        .raw(b"link", b'2', "dir/one", b"", 7, "0000777")
        .raw(b"hard", b'1', "dir/one", b"", 2, "0000644")
        .raw(b"pipe", b'6', "", b"", 99, "0000644")
        .pax(&[("size", b"1234"), ("mtime", b"1.5")])
        .folder("paxdir")
        .file("end", b"end\n")
        .end();
    let layers = [base(), odd];
    let path = docker(&host, "sizes", &layers, &config(&layers, json!({})));
    load(&host, &path).expect_code(0);
    assert_eq!(
        run(&host, "sizes", "cat /dir/one /link /hard /end; test -p /pipe && test -d /paxdir && echo all"),
        "1\n1\n1\nend\nall"
    );
}

#[test]
fn fields_that_nobody_needs_stop_nothing_and_what_is_lost_is_named() {
    let host = Host::bare();
    let layers = [base()];
    let odd = json!({
        "ExposedPorts": {"$PORT/tcp": {}, "80/TCP": {}, "8080": {}}, "StopSignal": "", "User": "1000:", "WorkingDir": "srv/app",
        "Volumes": {"data": {}, "": null}, "OnBuild": null, "Labels": {"a": null}, "Env": ["PATH=/usr/bin:/bin", "NOVALUE"], "Entrypoint": null,
    });
    let path = docker(&host, "odd", &layers, &config(&layers, odd));
    load(&host, &path).expect_code(0);
    let ran = host.rcr(&[
        "run",
        "--rm",
        "--network",
        "none",
        "odd:1",
        "sh",
        "-c",
        "id -u; pwd; test -d /data && echo volume",
    ]);
    assert_eq!(ran.stdout, "1000\n/srv/app\nvolume\n", "{ran:?}");
    for field in ["ExposedPorts `$PORT/tcp`", "Env `NOVALUE`"] {
        assert!(ran.stderr.lines().any(|l| l.starts_with("warning: ") && l.contains(field)), "{field}: {}", ran.stderr);
    }
    host.ok(&["create", "--name", "c", "odd:1"]);
    // Of a kind that nothing can be made of: said at the load, too.
    let path =
        docker(&host, "wrong", &layers, &config(&layers, json!({"Volumes": 3, "Labels": [], "StopSignal": "SIGNOPE"})));
    let loaded = load(&host, &path).expect_code(0);
    assert!(loaded.stderr.contains("`config.Volumes`") && loaded.stderr.contains("`config.Labels`"), "{loaded:?}");
    let ran = host.rcr(&["run", "--rm", "--network", "none", "wrong:1", "true"]).expect_code(0);
    assert!(ran.stderr.contains("StopSignal"), "{ran:?}");
    // Top-level fields that are null, or not there.
    let mut bare = config(&layers, json!({}));
    for key in ["history", "created", "author", "variant"] {
        bare[key] = Value::Null;
    }
    bare.as_object_mut().unwrap().remove("architecture");
    let path = docker(&host, "bare", &layers, &bare);
    load(&host, &path).expect_code(0);
    assert_eq!(run(&host, "bare", "echo $PATH"), "/usr/bin:/bin");
    // A user that can't be understood is no other user: the start says so.
    let path = docker(&host, "nobody", &layers, &config(&layers, json!({"User": "99999999999"})));
    load(&host, &path).expect_code(0);
    host.ok(&["create", "--name", "n", "nobody:1", "true"]);
    assert!(host.rcr(&["run", "--rm", "--network", "none", "nobody:1", "id"]).stderr.contains("99999999999"));
    assert_eq!(host.ok(&["run", "--rm", "--network", "none", "-u", "0", "nobody:1", "id", "-u"]), "0");
}

/// An OCI layout in an archive: documents and layers, and an index.
struct Layout(Archive);

impl Layout {
    fn blob(self, bytes: &[u8]) -> Self {
        Self(self.0.file(&format!("blobs/sha256/{}", hex(bytes)), bytes))
    }

    fn end(self, index: &Value) -> Vec<u8> {
        let layout = br#"{"imageLayoutVersion":"1.0.0"}"#;
        self.0.file("oci-layout", layout).file("index.json", index.to_string().as_bytes()).end()
    }
}

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()})
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image, an attestation about it, and an artifact.
struct Documents {
    /// All of them, with what they name.
    blobs: Vec<Vec<u8>>,
    manifest: Vec<u8>,
    statement: Vec<u8>,
    attestation: Vec<u8>,
    artifact: Vec<u8>,
}

fn documents() -> Documents {
    let layers = [base()];
    let of_image = config(&layers, json!({})).to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor("application/vnd.oci.image.config.v1+json", &of_image),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layers[0])], "annotations": null,
    })
    .to_string()
    .into_bytes();
    let statement = br#"{"_type":"https://in-toto.io/Statement/v0.1"}"#.to_vec();
    let attested_config = json!({"architecture": "unknown", "os": "unknown", "rootfs": {"type": "layers", "diff_ids": [digest(&statement)]}});
    let attested_config = attested_config.to_string().into_bytes();
    let attestation = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor("application/vnd.oci.image.config.v1+json", &attested_config),
        "layers": [descriptor("application/vnd.in-toto+json", &statement)],
    })
    .to_string()
    .into_bytes();
    let empty = b"{}".to_vec();
    let artifact = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example.sbom", "config": descriptor("application/vnd.oci.empty.v1+json", &empty),
        "layers": [descriptor("application/json", &statement)],
    })
    .to_string()
    .into_bytes();
    let [layer] = layers;
    let named = [&manifest, &statement, &attestation, &artifact].map(Clone::clone);
    let blobs = [vec![of_image, attested_config, empty, layer], named.to_vec()].concat();
    Documents { blobs, manifest, statement, attestation, artifact }
}

#[test]
fn attestations_and_artifacts_lie_beside_images() {
    let host = Host::bare();
    let Documents { blobs: all, manifest, statement, attestation, artifact } = documents();
    // As buildx writes it: an index in the index, with the attestation beside the image.
    let mut image = descriptor(MANIFEST, &manifest);
    image["platform"] = json!({"architecture": "amd64", "os": "linux"});
    let mut other = descriptor(MANIFEST, &attestation);
    other["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    other["annotations"] =
        json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest(&manifest)});
    let inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [image, other]}).to_string().into_bytes();
    let blobs = || all.iter().chain([&inner]).fold(Layout(Archive::new()), |layout, bytes| layout.blob(bytes));
    let named = |mut entry: Value, name: &str| {
        entry["annotations"] = json!({"io.containerd.image.name": format!("docker.io/library/{name}:1")});
        entry
    };
    let mut plain = image.clone();
    plain.as_object_mut().unwrap().remove("platform");
    for (name, manifests) in [
        ("nested", json!([named(descriptor(INDEX, &inner), "nested")])),
        ("flat", json!([named(image.clone(), "flat"), other])),
        (
            "artifact",
            json!([
                descriptor(MANIFEST, &artifact),
                named(plain, "artifact"),
                descriptor("application/octet-stream", &statement)
            ]),
        ),
    ] {
        let path = host.scratch().join(format!("{name}.tar"));
        std::fs::write(&path, blobs().end(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})))
            .unwrap();
        let loaded = load(&host, &path).expect_code(0);
        assert_eq!(loaded.stdout.lines().count(), 1, "{name}: {loaded:?}");
        assert_eq!(run(&host, name, "echo runs"), "runs");
    }
    // With nothing but artifacts there is no image.
    let path = host.scratch().join("none.tar");
    std::fs::write(
        &path,
        blobs().end(&json!({"schemaVersion": 2, "manifests": [descriptor(MANIFEST, &artifact), other]})),
    )
    .unwrap();
    assert!(load(&host, &path).expect_code(1).stderr.contains("it contains no image"));
}

#[test]
fn a_refused_load_leaves_nothing() {
    let host = Host::bare();
    let good = [base()];
    // Two images in one archive: the second one's layer is not what its config says.
    let first = config(&good, json!({})).to_string();
    let bad = Archive::new().file("x", b"x").end();
    let second = config(&[Archive::new().file("y", b"y").end()], json!({})).to_string();
    let list = json!([
        { "Config": "1.json", "RepoTags": ["one:1"], "Layers": ["1.tar"] },
        { "Config": "2.json", "RepoTags": ["two:1"], "Layers": ["2.tar"] },
    ]);
    let archive = Archive::new()
        .file("1.json", first.as_bytes())
        .file("2.json", second.as_bytes())
        .file("1.tar", &good[0])
        .file("2.tar", &bad)
        .file("manifest.json", list.to_string().as_bytes())
        .end();
    let path = host.scratch().join("two.tar");
    std::fs::write(&path, archive).unwrap();
    load(&host, &path).expect_code(1);
    assert_eq!(host.ok(&["images", "-q"]), "");
    for folder in ["blobs/sha256", "layers", "tmp", "partial"] {
        assert_eq!(count(&host, folder), 0, "{folder}");
    }
}

/// The most memory that a command and its children had, in MiB.
fn peak(host: &Host, args: &[&str]) -> (i32, f64) {
    let log = host.scratch().join("peak");
    let mut command = host.command(args);
    let program = command.get_program().to_owned();
    let script = "ulimit -c 0; \"$@\" >/dev/null 2>&1; echo $? > $LOG";
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(program).args(args).env("LOG", &log);
    shell.envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let mut child = shell.spawn().unwrap();
    let mut most = 0u64;
    // Looked at while it runs: the unpacker is a grandchild.
    while child.try_wait().unwrap().is_none() {
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            if status.starts_with("Name:\trcr-unpack\n") {
                let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("VmHWM: 0 kB");
                most = most.max(line.split_whitespace().nth(1).unwrap().parse().unwrap());
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let _ = &mut command;
    (std::fs::read_to_string(log).unwrap().trim().parse().unwrap(), most as f64 / 1024.0)
}

#[test]
fn a_header_that_is_read_whole_is_bounded_before() {
    let host = Host::bare();
    for (name, kind) in [("pax", b'x'), ("long-name", b'L'), ("long-link", b'K')] {
        // 300 MB of nothing pack to 300 kB.
        let plain = Archive::new().entry("././@LongLink", kind, "", &vec![b'a'; 300 << 20]).file("f", b"").end();
        let path = host.scratch().join(format!("{name}.tar.gz"));
        std::fs::write(&path, tests::archive::gzip(&plain)).unwrap();
        drop(plain);
        let (code, most) = peak(&host, &["load", "-i", path.to_str().unwrap()]);
        assert_eq!(code, 1, "{name}");
        assert!(most < 64.0, "{name}: {most} MiB");
        let said = load(&host, &path).stderr;
        assert!(said.contains("is longer than"), "{name}: {said}");
    }
    assert_eq!(count(&host, "layers"), 0);
}
