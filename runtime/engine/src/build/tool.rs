//! The program `buildah`. It runs in namespaces of processes, mounts and IPC of its own: nothing that it starts or
//! mounts outlives it, and what RUN starts sees no process of the host. It ends with us.

use super::place::Place;
use super::request::RunNetwork;
use rcr_base::{Doing, Error, Kind, Outcome};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

/// What it needs beside itself: both are of util-linux.
const HELPERS: [&str; 2] = ["setpriv", "unshare"];

/// buildah on the folders of a place.
pub struct Tool<'a> {
    place: &'a Place,
}

/// Where a build reads from and writes to.
pub struct Streams<'a> {
    /// The context, if it is a stream.
    pub stdin: Option<File>,
    /// Gets what the steps write.
    pub output: &'a OwnedFd,
    /// It does not.
    pub quiet: bool,
}

/// How a build ended.
pub enum Ended {
    /// There is an image.
    Well,
    /// There is none; the exit code.
    Badly(i32),
}

impl<'a> Tool<'a> {
    /// Looks whether it is there.
    pub fn find(place: &'a Place) -> Outcome<Self> {
        if !is_there("buildah") {
            return Err(Error::new(Kind::NotFound, "there is no `buildah`, which makes images from Dockerfiles")
                .hint("install the package `buildah`; or build elsewhere, and load or pull the image"));
        }
        match HELPERS.iter().find(|name| !is_there(name)) {
            Some(name) => Err(Error::new(Kind::NotFound, format!("there is no `{name}`, which a build needs"))
                .hint("install the package `util-linux`")),
            None => Ok(Self { place }),
        }
    }

    fn command(&self, alone: bool) -> Command {
        let mut command = Command::new(HELPERS[0]);
        command.args(["--pdeathsig", "KILL", HELPERS[1], "--fork", "--kill-child"]);
        command.args(["--pid", "--mount-proc", "--ipc", "--uts"]).args(alone.then_some("--net"));
        command.arg("buildah").arg("--root").arg(&self.place.storage).arg("--runroot").arg(&self.place.run);
        command.args(["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"]);
        command.env("TMPDIR", &self.place.work).stdin(Stdio::null());
        command
    }

    /// Builds. The network is the namespace's that buildah itself is in: chroot(2) has no other.
    pub fn build(&self, args: Vec<OsString>, network: RunNetwork, streams: Streams<'_>) -> Outcome<Ended> {
        let doing = || "cannot run buildah";
        let output = || streams.output.try_clone().map(Stdio::from).doing(doing);
        let mut command = self.command(network == RunNetwork::None);
        command.args(["build", "--isolation", "chroot", "--network", "host"]);
        // Docker's form keeps HEALTHCHECK and SHELL; a base that is not ours is pulled only if it is not there.
        command.args(["--format", "docker", "--layers", "--force-rm", "--pull=false"]).args(args);
        command.stdout(if streams.quiet { Stdio::null() } else { output()? }).stderr(output()?);
        if let Some(stdin) = streams.stdin {
            command.stdin(stdin);
        }
        let status = command.status().doing(doing)?;
        Ok(if status.success() { Ended::Well } else { Ended::Badly(code(status)) })
    }

    /// The ids of its images, one a line.
    pub fn images(&self) -> Outcome<String> {
        self.quiet(["images", "--all", "--quiet", "--no-trunc"].map(OsString::from))
    }

    /// Another of its verbs: what it writes. A failure is an error with what it says.
    pub fn quiet<const N: usize>(&self, args: [OsString; N]) -> Outcome<String> {
        let doing = || format!("cannot run `buildah {}`", args[0].to_string_lossy());
        let out = self.command(false).args(&args).output().doing(doing)?;
        if out.status.success() {
            return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&out.stderr);
        let last = said.lines().rfind(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned();
        Err(Error::new(Kind::System, doing()).caused_by(last.trim_start_matches("Error: ").to_owned()))
    }
}

fn is_there(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let executable = |path: PathBuf| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    std::env::split_paths(&path).any(|folder| executable(folder.join(name)))
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(libc::SIGKILL))
}
