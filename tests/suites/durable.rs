//! What is visible in the store is complete, checked and synced: when a pull is killed at any step, and when the disk
//! is full.
#![allow(clippy::unwrap_used)]

use tests::archive::Archive;
use tests::images::{base, command, count, noise, pull, run};
use tests::registry::Fake;
use tests::{Host, Ran};

const FAKE: &str = "127.0.0.1:5000";

/// `rcr` under strace, with these words for it.
fn traced(host: &Host, strace: &[&str], args: &[&str]) -> Ran {
    let inner = command(host, args, &[]);
    let mut outer = host.netns.command("strace");
    outer.args(["-f", "-qq"]).args(strace).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    run(&mut outer)
}

#[test]
fn what_becomes_visible_was_synced_before() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    fake.image("1", &[noise("a", 100_000)], |_, _| ());
    let log = host.scratch().join("log");
    let calls = "trace=rename,renameat,renameat2,fsync,fdatasync,syncfs";
    let ran = traced(&host, &["-y", "-e", calls, "-o", log.to_str().unwrap()], &["pull", "-q", &fake.name("x:1")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let log = std::fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = log.lines().filter(|line| line.ends_with("= 0")).collect();
    let at = |what: &str, words: &[&str]| {
        let found = lines.iter().position(|line| words.iter().all(|word| line.contains(word)));
        found.unwrap_or_else(|| panic!("{what} is not there: {log}"))
    };
    let first = |calls: &[&str], before: usize, words: &[&str]| {
        let fits =
            |line: &&&str| calls.iter().any(|call| line.contains(call)) && words.iter().all(|w| line.contains(w));
        lines[..before].iter().any(|line| fits(&line))
    };
    // The packed layer: its bytes, its name, its folder. The unpacked one: all of it, its name, its folder.
    let packed = at("the packed layer's renaming", &["rename", "/partial/", "/blobs/sha256/"]);
    assert!(first(&["fdatasync(", "fsync("], packed, &["/partial/"]), "{log}");
    let layer = at("the unpacked layer's renaming", &["rename", "/tmp/", "/layers/"]);
    assert!(first(&["syncfs("], layer, &["/tmp/"]), "{log}");
    let index = at("the index's renaming", &["rename", "/index.json"]);
    assert!(first(&["fsync("], index, &["/index.json."]), "{log}");
    for folder in ["/blobs/sha256>", "/layers>"] {
        assert!(first(&["fsync("], index, &[folder]), "{folder}: {log}");
    }
    // The image is named when all that it stands on is there.
    assert!(packed < index && layer < index, "{log}");
}

#[test]
fn a_pull_killed_at_any_step_leaves_nothing_but_blobs_to_go_on_with() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    let small = |name: &str| Archive::new().folder("d").file(&format!("d/{name}"), name.as_bytes()).end();
    let layers = fake.image("1", &[small("a"), small("b")], |_, _| ());
    let name = fake.name("x:1");
    let mut kills = 0;
    for call in
        ["rename", "fsync", "fdatasync", "syncfs", "flock", "mkdir", "unlink", "fchmodat,fchmod", "waitid,wait4"]
    {
        for n in 1.. {
            let inject = format!("inject={call}:signal=KILL:when={n}");
            let ran = traced(&host, &["-e", &inject, "-o", "/dev/null"], &["pull", "-q", &name]);
            let listed = host.ok(&["images", "-q"]);
            if ran.code != 0 {
                kills += 1;
                // What has a name is whole: the image, or nothing.
                if !listed.is_empty() {
                    host.ok(&["save", "-o", "/dev/null", &name]);
                }
                for blob in &layers {
                    let file = host.root().join("images/blobs/sha256").join(&blob[7..]);
                    let right = |bytes: Vec<u8>| rcr_images::Digest::of(&bytes).to_string() == *blob;
                    assert!(std::fs::read(&file).map_or(true, right), "{call} {n}: {}", file.display());
                }
                for layer in std::fs::read_dir(host.root().join("images/layers")).unwrap().flatten() {
                    assert_eq!(layer.path().join("fs/d").read_dir().unwrap().count(), 1, "{call} {n}");
                }
                pull(&host, &name);
                assert!(host.ok(&["image", "check"]).contains("0 damaged"), "{call} {n}");
            }
            host.ok(&["image", "prune", "-af"]);
            let left: usize =
                ["tmp", "partial", "locks", "blobs/sha256", "layers"].iter().map(|f| count(&host, f)).sum();
            assert_eq!(left, 0, "{call} {n}");
            let strays = std::fs::read_dir(host.root().join("images")).unwrap().flatten();
            let strays: Vec<_> = strays.filter(|e| e.file_name().to_string_lossy().contains("json.")).collect();
            assert!(strays.is_empty(), "{call} {n}: {strays:?}");
            if ran.code == 0 {
                break;
            }
            assert!(n < 200, "{call} is never over");
        }
    }
    assert!(kills > 20, "only {kills}");
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
    assert!(out.contains("code 1") && err.contains("ENOSPC"), "{out}{err}");
    let left = out.split("code 1").nth(1).unwrap();
    assert!(left.contains("layers:\n\n") && left.contains("tmp:\n"), "{out}{err}");
    assert!(out.trim_end().ends_with('2'), "with room the rest comes: {out}{err}");
}

#[test]
fn on_a_full_disk_load_and_import_leave_nothing() {
    let host = Host::bare();
    let archive = host.scratch().join("a.tar");
    let root = host.scratch().join("root.tar");
    std::fs::write(&root, base()).unwrap();
    host.ok(&["image", "import", root.to_str().unwrap(), "x"]);
    host.ok(&["save", "-o", archive.to_str().unwrap(), "x"]);
    let images = host.scratch().join("small/images");
    std::fs::create_dir_all(&images).unwrap();
    let rcr = tests::bin().join("rcr");
    let commands = [format!("load -i {}", archive.display()), format!("image import {} x", root.display())];
    // From hardly enough for the store's folders to nearly enough for the whole image.
    for (size, line) in ["16k", "64k", "1m", "4m", "7m"].iter().flat_map(|size| commands.iter().map(move |c| (size, c)))
    {
        let script = format!(
            "mount -t tmpfs -o size={size} none {0} || exit 1; {1} {line}; echo code $?; \
             find {0} -type f ! -name oci-layout ! -name busy ! -name lock; find {0}/tmp {0}/layers -mindepth 1 2>/dev/null; \
             mount -o remount,size=90m {0} && {1} {line} >/dev/null && {1} images -q | wc -l",
            images.display(),
            rcr.display()
        );
        let mut command = host.netns.command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
        command.env("RCR_ROOT", images.parent().unwrap()).env("RCR_RUN", host.run_dir());
        let ran = run(&mut command);
        assert!(ran.stderr.contains("ENOSPC"), "{size} {line}: {ran:?}");
        assert!(ran.stderr.contains("hint: `rcr image prune -a`"), "{size} {line}: {ran:?}");
        assert_eq!(ran.stdout.trim(), "code 1\n1", "nothing is left, and with room it works: {size} {line}: {ran:?}");
    }
}
