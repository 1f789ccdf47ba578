//! Images that are on a host before its test begins. An image of a real program has hundreds of megabytes: each is
//! loaded once by the `rcr` under test, into a store of its own below `$RCR_CACHE/loaded`; a host gets hard links of
//! what was unpacked there. Layers only ever are the lower part of an overlay, which writes nothing to them.

use super::parts;
use crate::{Host, bin, cache};
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// How old the stores of another build are when they go: nobody tests that build any more.
const OLD: Duration = Duration::from_secs(3600);

/// The image is on the host after this.
pub fn load(host: &Host, image: &str) {
    let (from, to) = (store_with(host, image), host.root().join("images"));
    let named = |index: &Value| {
        let name = |one: &&Value| one["annotations"]["org.opencontainers.image.ref.name"] == format!("{image}:latest");
        index["manifests"].as_array().unwrap().iter().find(name).cloned()
    };
    let manifest = named(&read(&from.join("index.json"))).expect("it is loaded");
    let blob = |digest: &Value| Path::new("blobs/sha256").join(hex(digest));
    let document = read(&from.join(blob(&manifest["digest"])));
    let config = read(&from.join(blob(&document["config"]["digest"])));
    let mut all = vec![blob(&manifest["digest"]), blob(&document["config"]["digest"])];
    // Packed layers are kept for some archives only.
    let packed = document["layers"].as_array().unwrap().iter().map(|layer| blob(&layer["digest"]));
    all.extend(packed.filter(|path| from.join(path).exists()));
    all.extend(config["rootfs"]["diff_ids"].as_array().unwrap().iter().map(|id| Path::new("layers").join(hex(id))));
    for folder in ["", "layers", "blobs/sha256"] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(to.join(folder)).unwrap();
    }
    for path in all.iter().filter(|path| !to.join(path).exists()) {
        link(&from.join(path), &to.join(path));
    }
    fs::copy(from.join("oci-layout"), to.join("oci-layout")).unwrap();
    let index = to.join("index.json");
    let mut index_of_all = match index.exists() {
        true => read(&index),
        false => json!({"schemaVersion": 2, "manifests": []}),
    };
    let manifests = index_of_all["manifests"].as_array_mut().unwrap();
    manifests.retain(|one| *one != manifest);
    manifests.push(manifest);
    fs::write(index, index_of_all.to_string()).unwrap();
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn hex(digest: &Value) -> &str {
    digest.as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest")
}

/// A store with an image, loaded by this build of `rcr` as people do: the output of `docker save` comes through a pipe.
fn store_with(host: &Host, image: &str) -> PathBuf {
    let key = parts(image).1.file_name().unwrap().to_owned();
    let all = cache().join("loaded");
    let root = all.join(build());
    if !root.exists() {
        sweep(&all);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&root).unwrap();
    }
    let (lock, done) = (root.join(format!("{}.lock", key.display())), root.join(format!("{}.done", key.display())));
    let _one = Flock::lock(File::create(lock).unwrap(), FlockArg::LockExclusive).map_err(|(_, errno)| errno).unwrap();
    if !done.exists() {
        let mut tar = Command::new("tar");
        let mut tar = tar.arg("-cf").arg("-").args(parts(image).0).stdout(Stdio::piped()).spawn().unwrap();
        let mut command = host.command(&["load"]);
        let output = command.env("RCR_ROOT", &root).stdin(tar.stdout.take().unwrap()).output().unwrap();
        assert!(output.status.success(), "rcr load: {}", String::from_utf8_lossy(&output.stderr));
        assert!(tar.wait().unwrap().success(), "tar");
        File::create(done).unwrap();
    }
    root.join("images")
}

/// What tells one build of `rcr` from another.
fn build() -> String {
    let mut hasher = DefaultHasher::new();
    let stat = fs::metadata(bin().join("rcr")).expect("rcr is built");
    (stat.len(), stat.modified().unwrap()).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Removes the stores of builds before.
fn sweep(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|stat| stat.modified()).unwrap_or(SystemTime::now());
        if modified.elapsed().is_ok_and(|age| age > OLD) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A tree of hard links, with its folders' owners, modes and attributes; a copy where it is another file system.
fn link(from: &Path, to: &Path) {
    let try_with =
        |flags: &str| Command::new("cp").arg(flags).arg(from).arg(to).stderr(Stdio::null()).status().unwrap();
    if !try_with("-al").success() {
        let _ = fs::remove_dir_all(to);
        assert!(try_with("-a").success(), "cp -a {} {}", from.display(), to.display());
    }
}
