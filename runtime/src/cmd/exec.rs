//! `exec`: the program is the shim's child, in the container; its stdio are ours, or a terminal's that is handed to us.

use super::create::{set, user_environment};
use super::signal::Signals;
use super::terminal::{DetachKeys, RawMode};
use crate::bundle::{self, seccomp};
use crate::cgroup;
use crate::cli::container::ExecArgs;
use crate::cli::value;
use crate::container::config::{Config, Security};
use crate::container::lifecycle::{Instance, start_failure};
use crate::container::spawn;
use crate::container::state::Status;
use crate::container::store::Container;
use crate::init::plan::{ProcessPlan, UserPlan};
use crate::report::{Doing, Failure, Outcome};
use crate::shim::config::{Answer, ExecConfig};
use crate::sys::{fd, tty};
use netd_api::{recv_frame, send_frame};
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{self, Write, stdin};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// `rcr exec`.
pub fn exec(instance: &Instance, args: &ExecArgs) -> Outcome<i32> {
    let container = instance.containers().find(&args.name)?;
    let name = &container.config.name;
    let doing = || {
        format!("cannot run `{}` in container `{name}`", args.command.first().map(String::as_str).unwrap_or_default())
    };
    if container.state.status != Status::Running {
        return Err(Failure::new(doing())
            .because(format!("it is {}", container.state.status.name()))
            .hint(format!("start it with `rcr start {name}`")));
    }
    if args.tty && args.interactive && !args.detach && !rustix::termios::isatty(stdin()) {
        return Err(Failure::new("cannot attach a terminal: the input is not one")
            .hint("leave `-t` out when stdin is a pipe or a file"));
    }
    let keys = value::detach_keys(&args.detach_keys)
        .map_err(|why| Failure::new("cannot understand `--detach-keys`").because(why))?;
    let config = exec_config(&container, args).doing(doing)?;
    let signals = if args.detach { None } else { Some(Signals::block()?) };
    arrange_stdio(args)?;
    let (control, pid) = spawn::shim("exec")?;
    send_frame(&control, &config, &[]).map_err(|e| Failure::new(doing()).because(e.to_string()))?;
    let (answer, mut fds) = recv_frame::<Answer>(&control).map_err(|e| Failure::new(doing()).because(e.to_string()))?;
    let pid_in_host = match answer {
        Answer::Started { pid } => pid,
        Answer::Failed(failure) => return Err(start_failure(failure).during(doing())),
        Answer::Exited { code } => return Ok(code),
    };
    let Some(signals) = signals else { return Ok(0) };
    let session = Session { control, signals, keys: DetachKeys::new(keys), target: pid_in_host, _shim: pid };
    match fds.pop() {
        Some(terminal) => session.relay_terminal(terminal, args.interactive),
        None => session.wait(),
    }
}

fn exec_config(container: &Container, args: &ExecArgs) -> Outcome<ExecConfig> {
    let Container { config, state } = container;
    let init = state.init.ok_or_else(|| Failure::new("its process is gone"))?;
    let mut env = config.process.env.clone();
    if args.tty {
        set(&mut env, "TERM=xterm".into());
    }
    for variable in user_environment(&args.env, &args.env_file)? {
        set(&mut env, variable);
    }
    let paths = cgroup::paths(&cgroup::kind()?, &config.id);
    Ok(ExecConfig { process: process(config, args, env)?, init_pid: init.pid, init_start: init.start, cgroup: paths })
}

fn process(config: &Config, args: &ExecArgs, env: Vec<String>) -> Outcome<ProcessPlan> {
    let refused = |why: String| Failure::new(why);
    let user = args.user.as_ref().unwrap_or(&config.process.user);
    let mut user = UserPlan::parse(user).map_err(refused)?;
    user.extra_groups.clone_from(&config.process.group_add);
    let available = caps::read(None, caps::CapSet::Bounding).map_err(|e| refused(e.to_string()))?;
    let available = available.into_iter().map(bundle::caps::bit).sum();
    let security = Security { privileged: config.security.privileged || args.privileged, ..config.security.clone() };
    let masks = bundle::caps::masks(&security, available).map_err(|e| refused(e.to_string()))?;
    let confined = security.seccomp && !security.privileged;
    let filters =
        if confined { seccomp::default_profile(bundle::plan::granted(masks.bounding)) } else { Ok(Vec::new()) };
    let cwd = args.workdir.clone().unwrap_or_else(|| config.process.cwd.clone());
    if !cwd.starts_with('/') {
        return Err(refused(format!("the working directory `{cwd}` is not an absolute path")));
    }
    Ok(ProcessPlan {
        args: args.command.clone(),
        env,
        cwd,
        user,
        caps: masks,
        no_new_privs: security.no_new_privs && !args.privileged,
        rlimits: config.rlimits.clone(),
        seccomp: filters.map_err(|e| refused(e.to_string()))?,
        terminal: args.tty,
        oom_score_adj: config.resources.oom_score_adj,
        parent_death_signal: !args.detach,
    })
}

/// Without `-i` the program reads `/dev/null`; detached it writes there, too.
fn arrange_stdio(args: &ExecArgs) -> Outcome<()> {
    let null = crate::shim::launch::open_null().doing(|| "cannot open `/dev/null`")?;
    let numbers: &[i32] = match (args.detach, args.interactive) {
        (true, _) => &[0, 1, 2],
        (false, false) if !args.tty => &[0],
        _ => &[],
    };
    numbers.iter().try_for_each(|n| fd::dup_onto(null.as_fd(), *n)).doing(|| "cannot redirect the standard streams")
}

struct Session {
    control: UnixStream,
    signals: Signals,
    keys: DetachKeys,
    /// The program's pid as we see it.
    target: i32,
    _shim: i32,
}

impl Session {
    /// The program has our own stdio: only signals and its end concern us.
    fn wait(self) -> Outcome<i32> {
        loop {
            let mut fds = [
                PollFd::new(&self.control, PollFlags::IN),
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            ];
            let _ = poll(&mut fds, None);
            let ended = !fds[0].revents().is_empty();
            self.hand_signals_on(None);
            if ended {
                return self.exit_code();
            }
        }
    }

    fn exit_code(&self) -> Outcome<i32> {
        match recv_frame::<Answer>(&self.control) {
            Ok((Answer::Exited { code }, _)) => Ok(code),
            _ => {
                Err(Failure::new("the program's shim is gone").because("it ended without telling how the program did"))
            }
        }
    }

    fn hand_signals_on(&self, terminal: Option<&OwnedFd>) {
        while let Some(signal) = self.signals.next() {
            match (signal, terminal) {
                (libc::SIGWINCH, Some(terminal)) => copy_size(terminal),
                (libc::SIGWINCH, None) => {}
                (signal, _) => {
                    if let Some(pidfd) = crate::container::process::ProcessId::of(self.target).and_then(|p| p.open()) {
                        let _ = crate::sys::signal::send(pidfd.as_fd(), signal);
                    }
                }
            }
        }
    }

    fn relay_terminal(mut self, terminal: OwnedFd, interactive: bool) -> Outcome<i32> {
        let _raw = if interactive { RawMode::enter()? } else { None };
        copy_size(&terminal);
        let input = stdin();
        let mut input_open = interactive;
        let mut output_open = true;
        loop {
            let mut fds = vec![
                PollFd::new(&self.control, PollFlags::IN),
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
                PollFd::new(&terminal, if output_open { PollFlags::IN } else { PollFlags::empty() }),
            ];
            if input_open {
                fds.push(PollFd::new(&input, PollFlags::IN));
            }
            let _ = poll(&mut fds, None);
            let ready = |i: usize| fds.get(i).is_some_and(|fd: &PollFd| !fd.revents().is_empty());
            let (ended, written, typed) = (ready(0), ready(2) && output_open, ready(3));
            self.hand_signals_on(Some(&terminal));
            if written {
                output_open = copy_out(&terminal)?;
            } else if ended {
                // All output was read: only then is the end the end.
                return self.exit_code();
            }
            if typed {
                match self.copy_in(&terminal) {
                    Typed::More => {}
                    Typed::End => input_open = false,
                    Typed::Detach => return Ok(0),
                }
            }
        }
    }

    fn copy_in(&mut self, terminal: &OwnedFd) -> Typed {
        let mut buffer = [0u8; 4096];
        match rustix::io::read(stdin(), &mut buffer) {
            Ok(0) => Typed::End,
            Ok(got) => {
                let (bytes, detach) = self.keys.filter(&buffer[..got]);
                let mut rest = bytes.as_slice();
                while let Ok(written @ 1..) = rustix::io::write(terminal, rest) {
                    rest = &rest[written..];
                    if rest.is_empty() {
                        break;
                    }
                }
                if detach { Typed::Detach } else { Typed::More }
            }
            Err(rustix::io::Errno::INTR) => Typed::More,
            Err(_) => Typed::End,
        }
    }
}

enum Typed {
    More,
    End,
    Detach,
}

fn copy_size(terminal: &OwnedFd) {
    let out = io::stdout();
    if let Ok((rows, columns)) = tty::size(out.as_fd()).or_else(|_| tty::size(stdin().as_fd()))
        && rows > 0
        && columns > 0
    {
        let _ = tty::set_size(terminal.as_fd(), rows, columns);
    }
}

/// False: the terminal has no user any more.
fn copy_out(terminal: &OwnedFd) -> Outcome<bool> {
    let mut buffer = [0u8; 32 * 1024];
    match rustix::io::read(terminal, &mut buffer) {
        Ok(0) => Ok(false),
        Ok(got) => {
            let mut out = io::stdout().lock();
            out.write_all(&buffer[..got]).and_then(|()| out.flush()).doing(|| "cannot write the program's output")?;
            Ok(true)
        }
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(true),
        Err(_) => Ok(false),
    }
}
