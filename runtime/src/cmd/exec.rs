//! `exec`: connects our standard streams to the program's.

use crate::cli::container::ExecArgs;
use crate::cli::health::HealthcheckCommand;
use crate::flags::container::user_environment;
use crate::term::signal::{self, Insistence, Signals};
use crate::term::sink::{CHUNK, Sink, unwritten};
use crate::term::terminal::{self, DetachKeys, RawMode};
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::exec::{self, Exec, Executed, Process};
use rcr_engine::instance::Instance;
use rcr_engine::parse::keys::Keys;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io::stdin;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// `rcr exec`.
pub fn exec(instance: &Instance, args: &ExecArgs) -> Outcome<i32> {
    if args.tty && args.interactive && !args.detach && !rustix::termios::isatty(stdin()) {
        return Err(Error::new(Kind::Invalid, "cannot attach a terminal: the input is not one")
            .hint("leave `-t` out when stdin is a pipe or a file"));
    }
    let wanted = Exec {
        command: args.command.clone(),
        env: user_environment(&args.env, &args.env_file)?,
        user: args.user.clone(),
        workdir: args.workdir.clone(),
        privileged: args.privileged,
        terminal: args.tty,
        terminal_size: if args.detach { None } else { terminal::size() },
        stdin: args.interactive,
        detached: args.detach,
    };
    // Blocked before the program exists, so that no signal for it is lost.
    let signals = if args.detach { None } else { Some(Signals::block()?) };
    match (exec::exec(instance, &args.name, &wanted)?, signals) {
        (Executed::Ended(code), _) => Ok(code),
        (Executed::Running(_), None) => Ok(0),
        (Executed::Running(process), Some(signals)) => {
            let keys = DetachKeys::new(if args.tty { args.detach_keys.clone() } else { Keys::default() });
            relay(process, signals, keys, args.interactive)
        }
    }
}

/// `rcr healthcheck …`.
pub fn healthcheck(instance: &Instance, command: &HealthcheckCommand) -> Outcome<i32> {
    let HealthcheckCommand::Run { name } = command;
    let wanted = exec::check(instance, name)?;
    let signals = Signals::block()?;
    match exec::exec(instance, name, &wanted)? {
        Executed::Ended(code) => Ok(i32::from(code != 0)),
        Executed::Running(process) => {
            relay(process, signals, DetachKeys::new(Keys::default()), false).map(|code| i32::from(code != 0))
        }
    }
}

/// Connects our standard streams to the program's until its end; its exit code.
fn relay(mut process: Process, signals: Signals, keys: DetachKeys, interactive: bool) -> Outcome<i32> {
    let _raw = if process.terminal.is_some() && interactive { RawMode::enter()? } else { None };
    let (input, outputs) = match &process.terminal {
        Some(master) => {
            let copy = || master.try_clone().doing(|| "cannot use the terminal");
            (interactive.then(copy).transpose()?, [Some(copy()?), None])
        }
        None => (process.stdin.take(), std::mem::take(&mut process.outputs)),
    };
    let unblock = outputs.iter().chain([&input]).flatten();
    for end in unblock {
        rustix::io::ioctl_fionbio(end, true).doing(|| "cannot use the streams")?;
    }
    let sink = |fd: BorrowedFd| Sink::new(fd).doing(|| "cannot use the standard streams");
    let relay = Relay {
        process,
        signals,
        insistence: Insistence::default(),
        keys,
        sinks: [sink(rustix::stdio::stdout())?, sink(rustix::stdio::stderr())?],
        limits: [usize::MAX; 2],
        held: None,
        outputs,
        to_send: Vec::new(),
        code: None,
    };
    relay.run(input)
}

/// Between the program and our standard streams, until it has ended and all that it wrote is written.
struct Relay {
    signals: Signals,
    insistence: Insistence,
    process: Process,
    keys: DetachKeys,
    /// The terminal's other side, held while no program has it open: a login closes it and opens it again.
    held: Option<OwnedFd>,
    /// stdout and stderr, until their ends; a terminal stands for both.
    outputs: [Option<OwnedFd>; 2],
    sinks: [Sink; 2],
    /// How many bytes of each output still count: all of them until the program has ended. What its background children
    /// write afterwards is dropped.
    limits: [usize; 2],
    /// Typed, but not yet accepted.
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
    /// `input` takes what is typed: the terminal, or the pipe to the program's stdin.
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
            fds.push(PollFd::new(&self.process.control, PollFlags::IN));
        }
        for (n, (output, sink)) in self.outputs.iter().zip(&self.sinks).enumerate() {
            // While a reader has no room, we take no more from the program.
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
        self.code = Some(self.process.end()?);
        self.held = None;
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
            match (signal, &self.process.terminal) {
                (libc::SIGWINCH, _) => {
                    if let Some((rows, columns)) = terminal::size() {
                        self.process.resize(rows, columns);
                    }
                }
                (signal, Some(_)) if signal::ENDING.contains(&signal) => return Err(signal::interrupted(signal)),
                (libc::SIGHUP, None) if terminal::is_hung_up() => return Err(signal::interrupted(libc::SIGHUP)),
                (signal, _) => {
                    self.process.signal(signal);
                    self.insistence.check(signal)?;
                }
            }
        }
        Ok(())
    }

    fn copy_out(&mut self, n: usize) -> Outcome<()> {
        let Some(output) = &self.outputs[n] else { return Ok(()) };
        match self.sinks[n].fill_from(output.as_fd(), self.limits[n]).map_err(unwritten)? {
            None => {
                self.held = if self.code.is_none() { self.process.hold_terminal() } else { None };
                if self.held.is_none() {
                    self.outputs[n] = None;
                }
            }
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
