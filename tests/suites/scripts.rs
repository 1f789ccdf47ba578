//! Scripts in the shape of programs that drive Docker's command line: `tests/scripts`, with the commands, flags and
//! templates that such programs use; and one-liners as people post them.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use tests::Host;

#[track_caller]
fn run(name: &str) {
    run_part(&Host::new(), name, &[]);
}

/// Runs a script on this host.
#[track_caller]
fn run_part(host: &Host, name: &str, args: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name);
    let folder = host.scratch().join("work");
    std::fs::create_dir_all(&folder).unwrap();
    let programs = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
    let path = std::env::join_paths([tests::bin()].iter().chain(&programs)).unwrap();
    let mut command = host.netns.command("bash");
    command.arg(&script).args(args).current_dir(&folder).env("PATH", path);
    command.env("RCR_ROOT", host.root()).env("RCR_RUN", host.run_dir()).env_remove("RCR_CONFIG");
    let out = command.output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success(), "{name}: {}\n{}\n{}", out.status, said(&out.stdout), said(&out.stderr));
}

#[test]
fn a_local_cluster_of_nodes() {
    run("local_cluster.sh");
}

#[test]
fn a_runner_of_jobs() {
    run("job_runner.sh");
}

#[test]
fn a_compiler_for_other_platforms() {
    run("cross_compiler.sh");
}

#[test]
fn a_development_environment() {
    run("dev_environment.sh");
}

#[test]
fn a_deployment() {
    run("deploy.sh");
}

/// As people post them; the images that they name are others here.
#[track_caller]
fn one_liners(part: &str) {
    let host = Host::new();
    host.import_nginx();
    for name in ["qmcgaw/gluetun", "mysql"] {
        host.ok(&["tag", "alpine", name]);
    }
    run_part(&host, "oneliners.sh", &[part]);
}

#[test]
fn one_liners_that_run_something() {
    one_liners("running");
}

#[test]
fn one_liners_that_look() {
    one_liners("looking");
}

#[test]
fn one_liners_that_tidy_up() {
    one_liners("tidying");
}

#[test]
fn one_liners_about_networks() {
    one_liners("networks");
}

#[test]
fn one_liners_about_other_programs() {
    one_liners("elsewhere");
}
