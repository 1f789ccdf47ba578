//! Helpers for suites about images: `rcr` with the test's own docker configuration, and layers.

use crate::archive::Archive;
use crate::{Host, Ran, rootfs};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A command that runs `rcr` with these variables, and none of this machine's that affect registries.
pub fn command(host: &Host, args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = host.command(args);
    for name in ["http_proxy", "https_proxy", "no_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    command.env("DOCKER_CONFIG", host.scratch().join("docker")).envs(env.iter().copied()).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code().unwrap_or(-1),
    }
}

/// Runs `rcr` with variables.
pub fn rcr(host: &Host, args: &[&str], env: &[(&str, &str)]) -> Ran {
    run(&mut command(host, args, env))
}

/// Pulls an image; its messages.
#[track_caller]
pub fn pull(host: &Host, name: &str) -> String {
    let ran = rcr(host, &["pull", name], &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout
}

/// Pulls an image, which must fail; the error.
#[track_caller]
pub fn refused(host: &Host, name: &str) -> String {
    let ran = rcr(host, &["pull", name], &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.lines().any(|line| line.starts_with("error: ")) && !ran.stderr.contains("panicked"), "{ran:?}");
    ran.stderr
}

/// A configuration for `--config`.
pub fn config(host: &Host, text: &str) -> String {
    let file = host.scratch().join("config.toml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// How many entries a folder of the image store has.
pub fn count(host: &Host, folder: &str) -> usize {
    std::fs::read_dir(host.root().join("images").join(folder)).map_or(0, |all| all.count())
}

/// Where a layer of an image is unpacked.
pub fn unpacked(host: &Host, name: &str, layer: usize) -> PathBuf {
    let diff = host.inspect(name, &format!("/RootFS/Layers/{layer}"));
    host.root().join("images/layers").join(&diff.as_str().unwrap()["sha256:".len()..]).join("fs")
}

/// A layer of one file with this many bytes that do not compress.
pub fn noise(name: &str, bytes: usize) -> Vec<u8> {
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

/// A layer that can run: the project's alpine-style root file system, as a plain tar.
pub fn base() -> Vec<u8> {
    let packed = std::fs::read(rootfs("alpine")).unwrap();
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut plain).unwrap();
    plain
}

/// A real Alpine's root file system, if there is one: `RCR_TEST_ALPINE` names it, or it is beside the clone.
pub fn real_alpine() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/images");
    let mut found = std::fs::read_dir(beside).into_iter().flatten().flatten().map(|entry| entry.path());
    let found = found.find(|path| path.extension().is_some_and(|end| end == "gz"));
    std::env::var_os("RCR_TEST_ALPINE").map(PathBuf::from).or(found)
}

/// skopeo in the host's namespace.
pub fn skopeo(host: &Host, line: &str) {
    host.netns.run(&format!("skopeo --insecure-policy {line}"));
}

/// An image of two layers, as is usual: `alpine`'s files, and what a script makes in an empty folder. `config` is the
/// image's, as JSON.
pub fn layered(host: &Host, name: &str, script: &str, config: &str) {
    let folder = host.scratch().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let base = rootfs("alpine");
    let run = |program: &str, args: &[&str]| {
        let status = Command::new(program).args(args).current_dir(&folder).status().unwrap();
        assert!(status.success(), "{program} {args:?}");
    };
    // The base is one layer, what the script makes another: real images have more than one.
    std::fs::create_dir(folder.join("layer")).unwrap();
    run("sh", &["-ec", &format!("gzip -dc {} > base.tar; cd layer; {script}", base.display())]);
    run("tar", &["-C", "layer", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-cf", "top.tar", "."]);
    let digest = |file: &str| {
        let output = Command::new("sha256sum").arg(folder.join(file)).output().unwrap();
        String::from_utf8(output.stdout).unwrap()[..64].to_owned()
    };
    let ids = format!(r#"["sha256:{}","sha256:{}"]"#, digest("base.tar"), digest("top.tar"));
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{config},"rootfs":{{"type":"layers","diff_ids":{ids}}}}}"#
    );
    let manifest =
        format!(r#"[{{"Config":"config.json","RepoTags":["{name}:latest"],"Layers":["base.tar","top.tar"]}}]"#);
    let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
    let archive = Archive::new()
        .file("config.json", config.as_bytes())
        .file("manifest.json", manifest.as_bytes())
        .file("base.tar", &read("base.tar"))
        .file("top.tar", &read("top.tar"));
    let path = folder.join("image.tar");
    std::fs::write(&path, archive.end()).unwrap();
    host.ok(&["load", "-i", path.to_str().unwrap()]);
}

/// A digest as text.
pub fn digest(bytes: &[u8]) -> String {
    rcr_images::Digest::of(bytes).to_string()
}

/// The config of an image of these layers (tar), with more fields of its `config`.
pub fn config_of(layers: &[Vec<u8>], more: Value) -> Value {
    let mut all = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"], "Env": ["PATH=/usr/bin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| digest(l)).collect::<Vec<_>>()},
    });
    for (key, value) in more.as_object().unwrap() {
        all["config"][key] = value.clone();
    }
    all
}

/// An archive in Docker's form, one folder per layer; the image is `name:1`.
pub fn docker_archive(host: &Host, name: &str, layers: &[Vec<u8>], config: &Value) -> PathBuf {
    let config = config.to_string();
    let paths: Vec<String> = (0..layers.len()).map(|n| format!("{n}/layer.tar")).collect();
    let list = json!([{ "Config": "config.json", "RepoTags": [format!("{name}:1")], "Layers": paths }]);
    let mut archive = Archive::new().file("config.json", config.as_bytes());
    for (path, layer) in paths.iter().zip(layers) {
        archive = archive.file(path, layer);
    }
    let path = host.scratch().join(format!("{name}.tar"));
    std::fs::write(&path, archive.file("manifest.json", list.to_string().as_bytes()).end()).unwrap();
    path
}

/// The root file system of `alpine`, unpacked from gzip.
pub fn alpine_layer() -> Vec<u8> {
    let mut layer = Vec::new();
    let packed = std::fs::File::open(rootfs("alpine")).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(packed), &mut layer).unwrap();
    layer
}
