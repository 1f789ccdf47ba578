//! `pull`, `push`, `login`, `logout`.

use super::image::store;
use super::progress::Progress;
use crate::cli::image::{LoginArgs, LogoutArgs, PullArgs, PushArgs};
use crate::container::lifecycle::Instance;
use crate::report::{Doing, Failure, Outcome};
use rcr_images::remote::{self, Platform, Pulled};
use rcr_images::{Image, Reference};
use std::io::{self, IsTerminal, Read, Write};

pub fn platform(text: Option<&str>) -> Outcome<Option<Platform>> {
    let parse = |text: &str| {
        let parsed = text.parse::<Platform>();
        parsed.map_err(|why| Failure::new(format!("cannot understand `--platform {text}`")).because(why))
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
    pulled.map_err(|error| Failure::from(error).during(format!("cannot pull `{name}`")))
}

/// The image of a new container, pulled as `--pull` says.
pub fn image_for(instance: &Instance, wanted: &str, policy: &str, wish: Option<&str>) -> Outcome<Image> {
    let store = store(instance)?;
    let platform = platform(wish)?;
    let here = || -> Result<Image, rcr_images::Error> {
        let image = store.resolve(wanted)?;
        if platform.as_ref().is_some_and(|wish| !fits(wish, &platform_of(&image))) {
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
            let (has, own) = (platform_of(&image), Platform::default());
            if platform.is_none() && !fits(&own, &has) {
                eprintln!("warning: `{wanted}` is an image for {has}, this machine is {own}");
            }
            return Ok(image);
        }
        Some(Err(error)) => Some(error),
        None => None,
    };
    let name = match (wanted.parse::<Reference>(), &missing) {
        (Err(error), _) => return Err(missing.unwrap_or(error).into()),
        (Ok(_), Some(error)) if policy == "never" || !worth_pulling(error, wanted) => {
            return Err(missing.map_or_else(|| Failure::new("no such image"), Failure::from));
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
        Failure::new(format!("cannot pull `{wanted}` again"))
            .because("it has no name")
            .hint("import or load it once more")
    })?;
    let platform = Some(platform_of(image));
    fetch(instance, &name.parse()?, &Fetch { platform, ..Fetch::default() }).map(drop)
}

fn fits(wish: &Platform, has: &Platform) -> bool {
    (&wish.os, &wish.architecture) == (&has.os, &has.architecture)
        && (wish.variant.is_none() || wish.variant == has.variant)
}

fn platform_of(image: &Image) -> Platform {
    let (os, architecture) = (image.config.os().to_string(), image.config.architecture().to_string());
    Platform { os, architecture, variant: image.config.variant().clone() }
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
    let digest = pushed.map_err(|error| Failure::from(error).during(format!("cannot push `{name}`")))?;
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
        eprintln!("warning: other users of this machine can see a password on the command line; use --password-stdin");
        password.clone()
    } else {
        secret("Password: ")?
    };
    if user.is_empty() || password.is_empty() {
        return Err(Failure::new("cannot log in without user and password"));
    }
    remote::login(server, &user, &password, &instance.config.images)
        .map_err(|error| Failure::from(error).during(format!("cannot log in at `{server}`")))?;
    println!("Login Succeeded");
    Ok(0)
}

fn ask(what: &str) -> Outcome<String> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new("cannot ask for user and password")
            .because("stdin is no terminal")
            .hint("`rcr login -u USER --password-stdin REGISTRY < FILE`"));
    }
    eprint!("{what}");
    let mut line = String::new();
    io::stdin().read_line(&mut line).doing(|| "cannot read from the terminal")?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks without showing what is typed.
fn secret(what: &str) -> Outcome<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let Ok(before) = tcgetattr(io::stdin()) else { return ask(what) };
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let set = |modes| tcsetattr(io::stdin(), OptionalActions::Flush, modes).map_err(io::Error::from);
    set(&silent).doing(|| "cannot hide what is typed")?;
    let said = ask(what);
    set(&before).doing(|| "cannot show again what is typed")?;
    let _ = writeln!(io::stderr());
    said
}

/// `rcr logout`.
pub fn logout(instance: &Instance, args: &LogoutArgs) -> Outcome<i32> {
    let server = args.server.as_deref().unwrap_or(rcr_images::reference::DOCKER_HUB);
    let there = remote::logout(server, &instance.config.images)
        .map_err(|error| Failure::from(error).during(format!("cannot log out of `{server}`")))?;
    match there {
        true => println!("Removing login credentials for {server}"),
        false => println!("Not logged in to {server}"),
    }
    Ok(0)
}
