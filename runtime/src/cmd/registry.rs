//! `pull`, `push`, `login`, `logout`.

use crate::cli::image::{LoginArgs, LogoutArgs, PullArgs, PushArgs};
use crate::report;
use crate::term::progress::Progress;
use crate::term::terminal::RawMode;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::images::{self, Fetch, Login, Reference};
use rcr_engine::instance::Instance;
use std::io::{self, IsTerminal, Read, Write};

/// Control characters that we interpret.
mod key {
    pub const INTERRUPT: u8 = 0x03;
    pub const END: u8 = 0x04;
    pub const BACKSPACE: u8 = 0x08;
    pub const KILL_LINE: u8 = 0x15;
    pub const QUIT: u8 = 0x1c;
    pub const DELETE: u8 = 0x7f;
}
/// `rcr pull`.
pub fn pull(instance: &Instance, args: &PullArgs) -> Outcome<i32> {
    let name: Reference = args.name.parse()?;
    if !args.quiet {
        println!("{}: Pulling from {}", name.target(), shown_path(&name));
    }
    let progress = Progress::new(args.quiet, "pulled");
    let pulled = images::pull(instance, &name, &Fetch { platform: args.platform.clone(), verify: true }, &progress)?;
    if !args.quiet {
        println!("Digest: {}", pulled.digest);
        match pulled.known {
            true => println!("Status: Image is up to date for {name}"),
            false => println!("Status: Downloaded newer image for {name}"),
        }
    }
    let separator = if name.digest.is_some() { '@' } else { ':' };
    println!("{}/{}{separator}{}", name.host(), name.path(), name.target());
    Ok(0)
}

fn shown_path(name: &Reference) -> String {
    match name.host() {
        images::DOCKER_HUB => name.path(),
        host => format!("{host}/{}", name.path()),
    }
}

/// `rcr push`.
pub fn push(instance: &Instance, args: &PushArgs) -> Outcome<i32> {
    let name: Reference = args.name.parse()?;
    if !args.quiet {
        println!("The push refers to repository [{}/{}]", name.host(), name.path());
    }
    let digest = images::push(instance, &name, &Progress::new(args.quiet, "pushed"))?;
    match args.quiet {
        true => println!("{}/{}:{}", name.host(), name.path(), name.target()),
        false => println!("{}: digest: {digest}", name.target()),
    }
    Ok(0)
}

/// `rcr login`.
pub fn login(instance: &Instance, args: &LoginArgs) -> Outcome<i32> {
    let user = match &args.username {
        Some(user) => user.clone(),
        None => ask("Username: ")?,
    };
    let password = if args.password_stdin {
        let mut text = String::new();
        io::stdin().take(1 << 20).read_to_string(&mut text).doing(|| "cannot read the password from stdin")?;
        text.trim_end_matches(['\n', '\r']).to_owned()
    } else if let Some(password) = &args.password {
        report::warn("other users of this machine can see a password on the command line; use --password-stdin");
        password.clone()
    } else {
        secret("Password: ")?
    };
    images::login(instance, &Login { registry: args.server.clone(), user, password })?;
    println!("Login Succeeded");
    Ok(0)
}

fn ask(what: &str) -> Outcome<String> {
    if !io::stdin().is_terminal() {
        return Err(Error::new(Kind::Invalid, "cannot ask for user and password")
            .caused_by("stdin is not a terminal")
            .hint("`rcr login -u USER --password-stdin REGISTRY < FILE`"));
    }
    report::to_stderr(what);
    let mut line = String::new();
    io::stdin().read_line(&mut line).doing(|| "cannot read from the terminal")?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks without echo. Meanwhile we interpret the keys ourselves: on an interrupt the terminal is restored first.
fn secret(what: &str) -> Outcome<String> {
    let Some(raw) = RawMode::enter()? else { return ask(what) };
    report::to_stderr(what);
    let mut typed = Vec::new();
    let said = loop {
        let mut key = [0];
        match rustix::io::read(io::stdin(), &mut key) {
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => break Err(io::Error::from(errno)).doing(|| "cannot read from the terminal"),
            Ok(0) => break Ok(typed),
            Ok(_) => match key[0] {
                b'\r' | b'\n' | key::END => break Ok(typed),
                key::INTERRUPT | key::QUIT => break Err(Error::new(Kind::Interrupted(libc::SIGINT), "interrupted")),
                key::KILL_LINE => typed.clear(),
                key::BACKSPACE | key::DELETE => drop(typed.pop()),
                other => typed.push(other),
            },
        }
    };
    drop(raw);
    let _ = writeln!(io::stderr());
    String::from_utf8(said?).map_err(|_| Error::new(Kind::Invalid, "cannot use this password: it is not UTF-8"))
}

/// `rcr logout`.
pub fn logout(instance: &Instance, args: &LogoutArgs) -> Outcome<i32> {
    match images::logout(instance, args.server.as_deref())? {
        (registry, true) => println!("Removing login credentials for {registry}"),
        (registry, false) => println!("Not logged in to {registry}"),
    }
    Ok(0)
}
