//! `rcr build`: Dockerfiles become images of ours, by buildah. No registry is there: base images come from our store.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Stdio;
use tests::{Host, Ran, images};

/// A folder with a Dockerfile.
fn context(host: &Host, name: &str, dockerfile: &str) -> PathBuf {
    let folder = host.scratch().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    folder
}

fn build(host: &Host, folder: &std::path::Path, flags: &[&str]) -> Ran {
    host.rcr(&[&["build"], flags, &[folder.to_str().unwrap()]].concat())
}

const WEB: &str = "ARG BASE=alpine
FROM $BASE AS tools
ARG WHO=nobody
RUN --mount=type=bind,target=/context echo \"hello $WHO from $(cat /context/data)\" > /greeting
FROM alpine
COPY --from=tools /greeting /greeting
COPY . /all
ENV COLOUR=blue
HEALTHCHECK --interval=7s CMD true
CMD [\"sh\", \"-c\", \"cat /greeting; echo $COLOUR; ls /all\"]
";

#[test]
fn a_dockerfile_becomes_an_image_of_ours() {
    let host = Host::new();
    let folder = context(&host, "web", WEB);
    std::fs::write(folder.join("data"), "data").unwrap();
    std::fs::write(folder.join("secret"), "x").unwrap();
    std::fs::write(folder.join(".dockerignore"), "secret\n.dockerignore\n").unwrap();
    let id_file = host.scratch().join("id");
    let flags = ["-t", "web:1", "-t", "registry.example:5000/team/web", "--build-arg", "WHO=me", "--label", "a=b"];
    let ran = build(&host, &folder, &[&flags[..], &["--iidfile", id_file.to_str().unwrap()]].concat()).expect_code(0);
    // As with Docker: what the steps write is no output.
    assert!(ran.stdout.is_empty() && ran.stderr.contains("RUN --mount"), "{ran:?}");
    let id = std::fs::read_to_string(&id_file).unwrap();
    assert_eq!(host.inspect("web:1", "/Id"), id);
    assert_eq!(host.inspect("registry.example:5000/team/web:latest", "/Id"), id);
    assert_eq!(host.inspect("web:1", "/Config/Labels/a"), "b");
    let said = host.ok(&["run", "--rm", "--network", "none", "web:1"]);
    assert_eq!(said, "hello me from data\nblue\nDockerfile\ndata");
    host.ok(&["create", "--name", "c", "--network", "none", "web:1"]);
    assert_eq!(host.inspect("c", "/Config/Healthcheck/Interval"), 7_000_000_000_u64);
    // The same again comes out of the cache and is the same image; another argument is another one.
    let again = build(&host, &folder, &["-q", "--build-arg", "WHO=me", "--label", "a=b"]).expect_code(0);
    assert_eq!(again.out(), id);
    assert_ne!(build(&host, &folder, &["-q", "--build-arg", "WHO=you", "--label", "a=b"]).expect_code(0).out(), id);
    // A stage alone, and the words of Docker's other builders.
    let path = folder.to_str().unwrap();
    let stage = host.ok(&["buildx", "build", "--load", "-q", "--progress", "plain", "--target", "tools", path]);
    assert_eq!(host.ok(&["run", "--rm", "--network", "none", &stage, "cat", "/greeting"]), "hello nobody from data");
    assert!(!host.ok(&["image", "build", "-q", "--no-cache", "--rm=true", "--network", "none", path]).is_empty());
    assert!(host.ok(&["builder", "prune", "-af"]).starts_with("Total reclaimed space: "));
    assert!(!host.root().join("build/storage").exists());
    build(&host, &folder, &[]).expect_code(0);
    // Nothing is mounted on the host, and nothing but the cache is kept.
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(host.root().join("build").to_str().unwrap()), "{mounts}");
    assert_eq!(std::fs::read_dir(host.root().join("build/work")).unwrap().count(), 0);
}

#[test]
fn a_step_that_fails_gives_its_exit_code_and_what_cannot_be_built_is_said() {
    let host = Host::new();
    let of = |text: &str| build(&host, &context(&host, "bad", text), &["-t", "bad"]);
    let failed = of("FROM alpine\nRUN echo here; exit 7\n").expect_code(7);
    assert!(failed.stderr.contains("here"), "{failed:?}");
    host.rcr(&["inspect", "bad"]).expect_code(1);
    let nonsense = of("FROM alpine\nFLY away\n");
    assert!(nonsense.code != 0 && nonsense.stderr.contains("FLY"), "{nonsense:?}");
    // RUN sees no process of the host, and has no network if it is to have none.
    let alone = of("FROM alpine\nRUN test $(ls /proc | grep -c '^[0-9]') -lt 30\n");
    assert_eq!(alone.code, 0, "{alone:?}");
    let folder = context(&host, "net", "FROM alpine\nRUN ip -o link > /links\n");
    let id = build(&host, &folder, &["-q", "--network", "none"]).expect_code(0).out().to_owned();
    let links = host.ok(&["run", "--rm", "--network", "none", &id, "cat", "/links"]);
    assert!(links.lines().all(|line| line.contains(" lo:")), "{links}");
    // What is wrong before anything is built.
    let folder = folder.to_str().unwrap().to_owned();
    let empty = host.scratch().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let refused = |flags: &[&str]| host.refused(&[&["build"], flags].concat());
    assert!(refused(&[empty.to_str().unwrap()]).contains("no `Dockerfile`"));
    assert!(refused(&["/no/such/folder"]).contains("ENOENT"));
    assert!(refused(&["-f", "/dev/zero", &folder]).contains("it is not a file"));
    assert!(refused(&["--network", "blue", &folder]).contains("known are host and none"));
    assert!(refused(&["--cache-to", "type=inline", &folder]).contains("the cache is this host's alone"));
    for name in ["", "UPPER", "../x", "a b", "-x", "a:b:c", "x\u{1b}[2J", "a@sha256:short"] {
        let said = refused(&[&format!("--tag={name}"), &folder]);
        assert!(said.contains("--tag") && !said.contains('\u{1b}'), "{said}");
    }
    for from in ["--flag", "../../etc", "a b c", "$NOTHING", "-", "alpine@sha256:0", "\u{1b}[2Jx"] {
        let ran = of(&format!("FROM {from}\n"));
        assert!(ran.code != 0 && !ran.stderr.contains("panicked"), "{ran:?}");
    }
    // A value that looks like a flag is none.
    let text = "FROM alpine\nARG A\nRUN echo \"$A\" > /a\n";
    let ran = build(&host, &context(&host, "arg", text), &["-q", "--build-arg", "A=--privileged $(x)\n'"]);
    let id = ran.expect_code(0).out().to_owned();
    assert_eq!(host.ok(&["run", "--rm", "--network", "none", &id, "cat", "/a"]), "--privileged $(x)\n'");
}

#[test]
fn dockerfiles_and_contexts_come_on_stdin() {
    let host = Host::new();
    let folder = context(&host, "ctx", "FROM nowhere/nothing\n");
    let path = folder.to_str().unwrap();
    let greets = |ran: Ran| {
        let id = ran.expect_code(0).out().to_owned();
        host.ok(&["run", "--rm", "--network", "none", &id, "cat", "/hi"])
    };
    assert_eq!(greets(host.rcr_with(&["build", "-q", "-f", "-", path], "FROM alpine\nRUN echo one > /hi")), "one");
    assert_eq!(greets(host.rcr_with(&["build", "-q", "-"], "FROM alpine\nRUN echo two > /hi")), "two");
    let said = host.rcr_with(&["build", "-f", "-", "-"], "FROM alpine").expect_code(1).stderr;
    assert!(said.contains("both the context and the Dockerfile"), "{said}");
    // A tar with the context in it.
    std::fs::write(folder.join("Dockerfile"), "FROM scratch\nCOPY hi /hi\n").unwrap();
    std::fs::write(folder.join("hi"), "three\n").unwrap();
    let mut tar = std::process::Command::new("tar").args(["-czC", path, "."]).stdout(Stdio::piped()).spawn().unwrap();
    let mut command = host.command(&["build", "-q", "-t", "tarred", "-"]);
    let ran = images::run(command.stdin(tar.stdout.take().unwrap()));
    assert!(tar.wait().unwrap().success());
    assert_eq!(ran.code, 0, "{ran:?}");
    host.ok(&["create", "--name", "c", "--network", "none", "tarred", "x"]);
    assert!(host.ok(&["export", "c"]).contains("three"));
}

#[test]
fn without_buildah_the_error_says_how_images_are_made() {
    let host = Host::new();
    let folder = context(&host, "web", WEB);
    let mut command = host.command(&["build", "-t", "web", folder.to_str().unwrap()]);
    let ran = images::run(command.env("PATH", host.scratch()));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("there is no `buildah`") && ran.stderr.contains("hint: install"), "{ran:?}");
}

#[test]
fn what_a_killed_build_has_left_is_gone_with_the_next() {
    let host = Host::new();
    // No other run of this test sleeps so long.
    let seconds = format!("{}", 4_000_000 + std::process::id());
    let folder = context(&host, "slow", &format!("FROM alpine\nRUN echo started >&2; exec sleep {seconds}\n"));
    let mut command = host.command(&["build", folder.to_str().unwrap()]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let started = std::io::BufRead::lines(stderr).map_while(Result::ok).any(|line| line == "started");
    assert!(started);
    assert!(host.rcr(&["builder", "prune", "-f"]).expect_code(1).stderr.contains("something is being built"));
    child.kill().unwrap();
    child.wait().unwrap();
    let sleeps = || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let own = format!("sleep\0{seconds}\0");
        all.filter(|e| std::fs::read(e.path().join("cmdline")).is_ok_and(|line| line == own.as_bytes())).count()
    };
    tests::eventually("its programs are gone", || sleeps() == 0);
    let folder = context(&host, "quick", "FROM alpine\nRUN true\n");
    build(&host, &folder, &[]).expect_code(0);
    assert_eq!(std::fs::read_dir(host.root().join("build/work")).unwrap().count(), 0);
    let containers = host.root().join("build/storage/overlay-containers/containers.json");
    let left = std::fs::read_to_string(containers).unwrap_or_default();
    assert!(left.trim().is_empty() || left.trim() == "[]", "{left}");
}
