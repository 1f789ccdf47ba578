//! `pull`, `push`, `login`, `logout`.

use super::image::store;
use super::progress::Progress;
use super::terminal::RawMode;
use crate::cli::image::{LoginArgs, LogoutArgs, PullArgs, PushArgs};
use crate::report;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::instance::Instance;
use rcr_images::remote::{self, Platform, Pulled};
use rcr_images::{Image, Reference};
use std::io::{self, IsTerminal, Read, Write};

/// What keys send that mean something else than themselves.
mod key {
    pub const INTERRUPT: u8 = 0x03;
    pub const END: u8 = 0x04;
    pub const BACKSPACE: u8 = 0x08;
    pub const KILL_LINE: u8 = 0x15;
    pub const QUIT: u8 = 0x1c;
    pub const DELETE: u8 = 0x7f;
}
pub fn platform(text: Option<&str>) -> Outcome<Option<Platform>> {
    let parse = |text: &str| {
        let parsed = text.parse::<Platform>();
        parsed.map_err(|why| Error::new(Kind::Invalid, format!("cannot understand `--platform {text}`")).caused_by(why))
    };
    text.map(parse).transpose()
}

/// `rcr pull`.
pub fn pull(instance: &Instance, args: &PullArgs) -> Outcome<i32> {
    let name: Reference = args.name.parse()?;
    let platform = platform(args.platform.as_deref())?;
    if !args.quiet {
        println!("{}: Pulling from {}", name.target(), shown_path(&name));
    }
    let pulled = fetch(instance, &name, &Fetch { platform, verify: true, quiet: args.quiet })?;
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
        rcr_images::reference::DOCKER_HUB => name.path(),
        host => format!("{host}/{}", name.path()),
    }
}

/// How a pull is done.
#[derive(Default)]
struct Fetch {
    platform: Option<Platform>,
    /// Packed layers that are here are hashed again.
    verify: bool,
    quiet: bool,
}

fn fetch(instance: &Instance, name: &Reference, how: &Fetch) -> Outcome<Pulled> {
    let progress = Progress::new(how.quiet, "pulled");
    let (store, images) = (store(instance)?, &instance.config.images);
    let pulled = remote::pull(&store, name, how.platform.as_ref(), how.verify, images, &|event| progress.event(event));
    progress.end();
    pulled.map_err(|error| {
        let offline = error.is_unreachable();
        let failure = Error::from(error).during(format!("cannot pull `{name}`"));
        if offline { failure.hint(rcr_images::OFFLINE) } else { failure }
    })
}

/// The image of a new container, pulled as `--pull` says.
pub fn image_for(instance: &Instance, wanted: &str, policy: &str, wish: Option<&str>) -> Outcome<Image> {
    let store = store(instance)?;
    let platform = platform(wish)?;
    let here = || -> Result<Image, rcr_images::Error> {
        let image = store.resolve(wanted)?;
        if platform.as_ref().is_some_and(|wish| !wish.takes(&Platform::of(&image.config))) {
            return Err(rcr_images::Error::NotFound { name: wanted.to_owned(), near: Vec::new() });
        }
        // An image of which layers are missing is as good as none.
        store.layers(&image).map(|_| image)
    };
    let local = match policy {
        "always" => None,
        _ => Some(here()),
    };
    let missing = match local {
        Some(Ok(image)) => {
            let (has, own) = (Platform::of(&image.config), Platform::default());
            if platform.is_none() && !own.takes(&has) {
                report::warn(format!("`{wanted}` is an image for {has}, this machine is {own}"));
            }
            return Ok(image);
        }
        Some(Err(error)) => Some(error),
        None => None,
    };
    let name = match (wanted.parse::<Reference>(), &missing) {
        (Err(error), _) => return Err(missing.unwrap_or(error).into()),
        (Ok(_), Some(error)) if policy == "never" || !worth_pulling(error, wanted) => {
            return Err(missing.map_or_else(|| Error::new(Kind::Invalid, "no such image"), Error::from));
        }
        (Ok(name), _) => name,
    };
    // What was missing is the error; that it could not be pulled, either, is why it stays one.
    let how = Fetch { platform: platform.clone(), ..Fetch::default() };
    fetch(instance, &name, &how).map(|pulled| pulled.image).map_err(|failure| match missing {
        Some(missing) => failure.during(missing.to_string()),
        None => failure,
    })
}

/// Pulls an image whose packed layers were damaged, for its own platform, by the first name that it has.
pub fn fetch_again(instance: &Instance, image: &Image, wanted: &str) -> Outcome<()> {
    let name = image.names.first().ok_or_else(|| {
        Error::new(Kind::Invalid, format!("cannot pull `{wanted}` again"))
            .caused_by("it has no name")
            .hint("import or load it once more")
    })?;
    let platform = Some(Platform::of(&image.config));
    fetch(instance, &name.parse()?, &Fetch { platform, ..Fetch::default() }).map(drop)
}

/// Missing or damaged, and no id: ids are not known to registries.
fn worth_pulling(error: &rcr_images::Error, wanted: &str) -> bool {
    use rcr_images::Error;
    let id = wanted.starts_with("sha256:");
    !id && matches!(error, Error::NotFound { .. } | Error::Damaged { .. } | Error::Io { .. })
}

/// `rcr push`.
pub fn push(instance: &Instance, args: &PushArgs) -> Outcome<i32> {
    let name: Reference = args.name.parse()?;
    if !args.quiet {
        println!("The push refers to repository [{}/{}]", name.host(), name.path());
    }
    let progress = Progress::new(args.quiet, "pushed");
    let pushed = remote::push(&store(instance)?, &name, &instance.config.images, &|event| progress.event(event));
    progress.end();
    let digest = pushed.map_err(|error| Error::from(error).during(format!("cannot push `{name}`")))?;
    match args.quiet {
        true => println!("{}/{}:{}", name.host(), name.path(), name.target()),
        false => println!("{}: digest: {digest}", name.target()),
    }
    Ok(0)
}

/// `rcr login`.
pub fn login(instance: &Instance, args: &LoginArgs) -> Outcome<i32> {
    let server = args.server.as_deref().unwrap_or(rcr_images::reference::DOCKER_HUB);
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
    if user.is_empty() || password.is_empty() {
        return Err(Error::new(Kind::Invalid, "cannot log in without user and password"));
    }
    remote::login(server, &user, &password, &instance.config.images)
        .map_err(|error| Error::from(error).during(format!("cannot log in at `{server}`")))?;
    println!("Login Succeeded");
    Ok(0)
}

fn ask(what: &str) -> Outcome<String> {
    if !io::stdin().is_terminal() {
        return Err(Error::new(Kind::Invalid, "cannot ask for user and password")
            .caused_by("stdin is no terminal")
            .hint("`rcr login -u USER --password-stdin REGISTRY < FILE`"));
    }
    report::to_stderr(what);
    let mut line = String::new();
    io::stdin().read_line(&mut line).doing(|| "cannot read from the terminal")?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks without showing what is typed. The keys are ours to understand meanwhile: whoever interrupts gets the terminal back as it was.
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
    String::from_utf8(said?).map_err(|_| Error::new(Kind::Invalid, "cannot use a password that is no text"))
}

/// `rcr logout`.
pub fn logout(instance: &Instance, args: &LogoutArgs) -> Outcome<i32> {
    let server = args.server.as_deref().unwrap_or(rcr_images::reference::DOCKER_HUB);
    let there = remote::logout(server, &instance.config.images)
        .map_err(|error| Error::from(error).during(format!("cannot log out of `{server}`")))?;
    match there {
        true => println!("Removing login credentials for {server}"),
        false => println!("Not logged in to {server}"),
    }
    Ok(0)
}
