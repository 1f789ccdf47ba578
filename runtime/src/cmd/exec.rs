//! `exec`: the program is the shim's child, in the container. Between it and us are pipes of its own, or a terminal whose master
//! is handed to us: none of our own descriptors reaches the container.

use super::attach::unwritten;
use super::create::{set, set_default, user_environment};
use super::signal::{self, Insistence, Signals};
use super::sink::{CHUNK, Sink};
use super::terminal::{self, DetachKeys, RawMode};
use crate::cli::container::ExecArgs;
use crate::cli::value;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_base::{recv_frame, send_frame};
use rcr_engine::bundle::powers::powers;
use rcr_engine::cgroup;
use rcr_engine::config::{Config, Security};
use rcr_engine::instance::Instance;
use rcr_engine::spawn;
use rcr_engine::start::start_failure;
use rcr_engine::store::Container;
use rcr_shim::config::{Answer, ExecConfig};
use rcr_shim::init::plan::{ProcessPlan, UserPlan};
use rcr_shim::launch::Pipes;
use rcr_shim::state::Status;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::Winsize;
use std::io::stdin;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// `rcr exec`.
pub fn exec(instance: &Instance, args: &ExecArgs) -> Outcome<i32> {
    let container = instance.containers().find(&args.name)?;
    let name = &container.config.name;
    let doing = || {
        format!("cannot run `{}` in container `{name}`", args.command.first().map(String::as_str).unwrap_or_default())
    };
    if container.state.status != Status::Running {
        return Err(Error::new(Kind::Invalid, doing())
            .caused_by(format!("it is {}", container.state.status.name()))
            .hint(format!("start it with `rcr start {name}`")));
    }
    if args.tty && args.interactive && !args.detach && !rustix::termios::isatty(stdin()) {
        return Err(Error::new(Kind::Invalid, "cannot attach a terminal: the input is not one")
            .hint("leave `-t` out when stdin is a pipe or a file"));
    }
    let keys = value::detach_keys(&args.detach_keys)
        .map_err(|why| Error::new(Kind::Invalid, "cannot understand `--detach-keys`").caused_by(why))?;
    let pipes = if args.detach || args.tty { Ok(Pipes::none()) } else { Pipes::new(args.interactive) };
    let pipes = pipes.doing(|| "cannot create pipes")?;
    let config = exec_config(&container, args, pipes.child.each_ref().map(Option::is_some)).doing(doing)?;
    let signals = if args.detach { None } else { Some(Signals::block()?) };
    let (control, _) = spawn::shim("exec")?;
    let streams: Vec<_> = pipes.child.iter().flatten().map(|end| end.as_fd()).collect();
    let broken = |e: rcr_base::FrameError| Error::new(Kind::Invalid, doing()).caused_by(e.to_string());
    send_frame(&control, &config, &streams).map_err(broken)?;
    // Held open here, an end would keep the stream from ending.
    drop(pipes.child);
    let (answer, mut fds) = recv_frame::<Answer>(&control).map_err(broken)?;
    let target = match answer {
        Answer::Started { pid } => pid,
        Answer::Failed(failure) => return Err(start_failure(failure).during(doing())),
        Answer::Exited { code } => return Ok(code),
    };
    let Some(signals) = signals else { return Ok(0) };
    let keys = DetachKeys::new(if args.tty { keys } else { Vec::new() });
    let ours = Ours { input: pipes.stdin, outputs: pipes.outputs, terminal: fds.pop() };
    relay(ours, control, signals, target, keys, args.interactive)
}

/// Our ends of the program's streams.
struct Ours {
    input: Option<OwnedFd>,
    outputs: [Option<OwnedFd>; 2],
    /// Takes the place of both.
    terminal: Option<OwnedFd>,
}

/// Connects our standard streams to the program's until its end; its exit code.
fn relay(
    ours: Ours,
    control: UnixStream,
    signals: Signals,
    target: i32,
    keys: DetachKeys,
    interactive: bool,
) -> Outcome<i32> {
    let Ours { input, outputs, terminal } = ours;
    let _raw = if terminal.is_some() && interactive { RawMode::enter()? } else { None };
    let (input, outputs) = match &terminal {
        Some(master) => {
            let copy = || master.try_clone().doing(|| "cannot use the terminal");
            (interactive.then(copy).transpose()?, [Some(copy()?), None])
        }
        None => (input, outputs),
    };
    let unblock = outputs.iter().chain([&input]).flatten();
    for end in unblock {
        rustix::io::ioctl_fionbio(end, true).map_err(std::io::Error::from).doing(|| "cannot use the streams")?;
    }
    let sink = |fd: BorrowedFd| Sink::new(fd).doing(|| "cannot use the standard streams");
    let relay = Relay {
        control,
        signals,
        insistence: Insistence::default(),
        target,
        keys,
        sinks: [sink(rustix::stdio::stdout())?, sink(rustix::stdio::stderr())?],
        limits: [usize::MAX; 2],
        terminal,
        outputs,
        to_send: Vec::new(),
        code: None,
    };
    relay.run(input)
}

fn exec_config(container: &Container, args: &ExecArgs, streams: [bool; 3]) -> Outcome<ExecConfig> {
    let Container { config, state } = container;
    let init = state.init.ok_or_else(|| Error::new(Kind::Invalid, "its process is gone"))?;
    let mut env = config.process.env.clone();
    if args.tty {
        set_default(&mut env, "TERM=xterm");
    }
    for variable in user_environment(&args.env, &args.env_file)? {
        set(&mut env, variable);
    }
    let paths = cgroup::paths(&cgroup::kind()?, &config.id);
    let process = process(config, args, env)?;
    Ok(ExecConfig { process, streams, init_pid: init.pid, init_start: init.start, cgroup: paths })
}

fn process(config: &Config, args: &ExecArgs, env: Vec<String>) -> Outcome<ProcessPlan> {
    let refused = |why: String| Error::new(Kind::Invalid, why);
    let user = args.user.as_ref().unwrap_or(&config.process.user);
    let user = UserPlan::parse(user).map_err(refused)?;
    let user = user.with_groups(&config.process.group_add, &config.process.group_names);
    let available = rcr_engine::start::facts::own_capabilities()?;
    let security = Security {
        privileged: config.security.privileged || args.privileged,
        no_new_privs: config.security.no_new_privs && !args.privileged,
        ..config.security.clone()
    };
    let powers = powers(&security, available).map_err(|e| refused(e.to_string()))?;
    let cwd = args.workdir.clone().unwrap_or_else(|| config.process.cwd.clone());
    if !cwd.starts_with('/') {
        return Err(refused(format!("the working directory `{cwd}` is not an absolute path")));
    }
    Ok(ProcessPlan {
        args: args.command.clone(),
        env,
        cwd,
        user,
        caps: powers.caps,
        no_new_privs: powers.no_new_privs,
        rlimits: config.rlimits.clone(),
        seccomp: powers.seccomp,
        terminal: args.tty,
        terminal_size: if args.detach { None } else { terminal::size() },
        oom_score_adj: config.resources.oom_score_adj,
        parent_death_signal: !args.detach,
    })
}

/// Between the program and our standard streams, until it has ended and all that it wrote is written.
struct Relay {
    control: UnixStream,
    signals: Signals,
    insistence: Insistence,
    /// The program's pid as we see it.
    target: i32,
    keys: DetachKeys,
    terminal: Option<OwnedFd>,
    /// stdout and stderr, until their ends; a terminal stands for both.
    outputs: [Option<OwnedFd>; 2],
    sinks: [Sink; 2],
    /// How many bytes of each output still count: all of them, until the program has ended. What its background children write
    /// after that is nobody's.
    limits: [usize; 2],
    /// Typed, and not taken yet.
    to_send: Vec<u8>,
    code: Option<i32>,
}

/// What poll(2) watches.
#[derive(Clone, Copy)]
enum Source {
    Control,
    Signals,
    Output(usize),
    Sink(usize),
    Stdin,
    Input,
}

impl Relay {
    /// `input`: where what is typed goes, the terminal or the pipe to the program's stdin.
    fn run(mut self, mut input: Option<OwnedFd>) -> Outcome<i32> {
        loop {
            if let Some(code) = self.code.filter(|_| self.is_drained()) {
                return Ok(code);
            }
            for source in self.wait(input.as_ref()) {
                match source {
                    Source::Control => self.on_end()?,
                    Source::Signals => self.on_signals()?,
                    Source::Output(n) => self.copy_out(n)?,
                    Source::Sink(n) => drop(self.sinks[n].flush().map_err(unwritten)?),
                    Source::Stdin => {
                        if self.copy_in(&mut input) {
                            return Ok(0);
                        }
                    }
                    Source::Input => self.send_input(&mut input),
                }
            }
        }
    }

    fn is_drained(&self) -> bool {
        self.outputs.iter().all(Option::is_none) && !self.sinks.iter().any(Sink::is_behind)
    }

    fn wait(&self, input: Option<&OwnedFd>) -> Vec<Source> {
        let standard_input = stdin();
        let mut what = vec![Source::Signals];
        let mut fds = vec![PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
        if self.code.is_none() {
            what.push(Source::Control);
            fds.push(PollFd::new(&self.control, PollFlags::IN));
        }
        for (n, (output, sink)) in self.outputs.iter().zip(&self.sinks).enumerate() {
            // While a reader has no room, nothing more is taken from the program.
            if sink.is_behind() {
                what.push(Source::Sink(n));
                fds.push(PollFd::from_borrowed_fd(sink.as_fd(), PollFlags::OUT));
            } else if let Some(output) = output {
                what.push(Source::Output(n));
                fds.push(PollFd::new(output, PollFlags::IN));
            }
        }
        if let Some(input) = input {
            if self.to_send.is_empty() {
                what.push(Source::Stdin);
                fds.push(PollFd::new(&standard_input, PollFlags::IN));
            } else {
                what.push(Source::Input);
                fds.push(PollFd::new(input, PollFlags::OUT));
            }
        }
        let _ = poll(&mut fds, None);
        what.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|(source, _)| source).collect()
    }

    /// The program has ended: what the pipes hold now is all that it wrote.
    fn on_end(&mut self) -> Outcome<()> {
        let Ok((Answer::Exited { code }, _)) = recv_frame::<Answer>(&self.control) else {
            return Err(Error::new(Kind::Invalid, "the program's shim is gone")
                .caused_by("it ended without telling how the program did"));
        };
        self.code = Some(code);
        for n in 0..2 {
            let Some(output) = &self.outputs[n] else { continue };
            self.limits[n] = rustix::io::ioctl_fionread(output).map_or(0, |bytes| bytes as usize);
            if self.limits[n] == 0 {
                self.outputs[n] = None;
            }
        }
        Ok(())
    }

    fn on_signals(&mut self) -> Outcome<()> {
        while let Some(signal) = self.signals.next() {
            match (signal, &self.terminal) {
                (libc::SIGWINCH, Some(terminal)) => {
                    if let Some((rows, columns)) = terminal::size() {
                        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
                        let _ = rustix::termios::tcsetwinsize(terminal, size);
                    }
                }
                (libc::SIGWINCH, None) => {}
                (signal, Some(_)) if signal::ENDING.contains(&signal) => return Err(signal::interrupted(signal)),
                (libc::SIGHUP, None) if terminal::is_hung_up() => return Err(signal::interrupted(libc::SIGHUP)),
                (signal, _) => {
                    if let Some(pidfd) = rcr_shim::process::ProcessId::of(self.target).and_then(|p| p.open()) {
                        let _ = rcr_shim::sys::signal::send(pidfd.as_fd(), signal);
                    }
                    self.insistence.check(signal)?;
                }
            }
        }
        Ok(())
    }

    fn copy_out(&mut self, n: usize) -> Outcome<()> {
        let Some(output) = &self.outputs[n] else { return Ok(()) };
        match self.sinks[n].fill_from(output.as_fd(), self.limits[n]).map_err(unwritten)? {
            None => self.outputs[n] = None,
            Some(moved) if self.code.is_some() => {
                self.limits[n] -= moved;
                if self.limits[n] == 0 {
                    self.outputs[n] = None;
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// True: the user detached.
    fn copy_in(&mut self, input: &mut Option<OwnedFd>) -> bool {
        let mut buffer = [0u8; CHUNK];
        match rustix::io::read(stdin(), &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(got @ 1..) => {
                let (bytes, detach) = self.keys.filter(&buffer[..got]);
                self.to_send = bytes;
                self.send_input(input);
                return detach;
            }
            // The end, or a terminal that is gone.
            Ok(_) | Err(_) => *input = None,
        }
        false
    }

    fn send_input(&mut self, input: &mut Option<OwnedFd>) {
        while let (Some(to), false) = (&*input, self.to_send.is_empty()) {
            match rustix::io::write(to, &self.to_send) {
                Ok(written) => drop(self.to_send.drain(..written)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // Nobody reads it any more.
                Err(_) => {
                    self.to_send.clear();
                    *input = None;
                }
            }
        }
    }
}
