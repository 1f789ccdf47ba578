//! The command line of `rcr-web`. People type `rcr web`, which hands over to it.

use crate::route::Act;
use rcr_base::{Error, Kind, Outcome};
use std::path::PathBuf;

const USAGE: &str = "\
Usage: rcr-web [--port PORT] [--allow-changes] [--root DIR] [--run DIR] [--config FILE]

The page of rcr; `rcr web` starts it.

  --port PORT      port on 127.0.0.1; 0: any that is free [0]
  --allow-changes  the page may start, stop and remove containers, and change networks
  --root DIR       state that outlives a reboot [RCR_ROOT, /var/lib/rcr]
  --run DIR        state that need not [RCR_RUN, /run/rcr]
  --config FILE    [RCR_CONFIG, /etc/rcr/config.toml, which may be missing]
  --version        print the version

Example: rcr-web --port 8080
";

/// The option that the program gives itself: a change as JSON.
pub const CHANGE: &str = "--change";

/// How the page is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The port on 127.0.0.1; 0: any that is free.
    pub port: u16,
    /// Whether the page may change anything.
    pub changes: bool,
    /// The instance's root folder.
    pub root: PathBuf,
    /// The instance's run folder.
    pub run: PathBuf,
    /// The configuration's file.
    pub config: Option<PathBuf>,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// To serve.
    Serve(Options),
    /// To change something, as a page that is served asks for it, and to say what came of it as JSON.
    Change(Options, Act),
    /// A text alone.
    Print(String),
}

/// Reads the command line, without the program's name.
pub fn parse(mut args: impl Iterator<Item = String>) -> Outcome<Parsed> {
    let env = |name: &str, fallback: &str| PathBuf::from(std::env::var_os(name).unwrap_or_else(|| fallback.into()));
    let mut options = Options {
        port: 0,
        changes: false,
        root: env("RCR_ROOT", "/var/lib/rcr"),
        run: env("RCR_RUN", "/run/rcr"),
        config: std::env::var_os("RCR_CONFIG").map(Into::into),
    };
    while let Some(arg) = args.next() {
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (arg, None),
        };
        let mut value =
            || inline.clone().or_else(|| args.next()).ok_or_else(|| refused(format!("`{name}` needs a value")));
        match name.as_str() {
            "--port" => {
                let text = value()?;
                options.port = text.parse().map_err(|_| refused(format!("`{text}` is no port")))?;
            }
            "--allow-changes" => options.changes = true,
            "--root" => options.root = value()?.into(),
            "--run" => options.run = value()?.into(),
            "--config" => options.config = Some(value()?.into()),
            CHANGE => {
                let act = serde_json::from_str(&value()?).map_err(|error| refused(error.to_string()))?;
                return Ok(Parsed::Change(options, act));
            }
            "--help" | "-h" => return Ok(Parsed::Print(USAGE.to_owned())),
            "--version" | "-V" => return Ok(Parsed::Print(format!("rcr-web {}\n", env!("CARGO_PKG_VERSION")))),
            other => return Err(refused(format!("unknown option `{other}`"))),
        }
    }
    Ok(Parsed::Serve(options))
}

fn refused(why: String) -> Error {
    Error::new(Kind::Invalid, why).hint("`rcr-web --help` lists all options")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Outcome<Parsed> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_command_line_is_read_or_refused() {
        let Ok(Parsed::Serve(options)) = parsed("--port=81 --allow-changes --root /a --run /b --config /c") else {
            panic!("it is refused")
        };
        let folders = (options.root.to_str(), options.run.to_str(), options.config.as_ref().and_then(|c| c.to_str()));
        assert_eq!((options.port, options.changes, folders), (81, true, (Some("/a"), Some("/b"), Some("/c"))));
        let change = parse(["--root", "/a", CHANGE, r#"{"start":"--port"}"#].into_iter().map(str::to_owned));
        assert!(matches!(change, Ok(Parsed::Change(_, Act::Start(name))) if name == "--port"));
        for wrong in ["--change", "--change x", "--port", "--port x", "--port 65536", "--listen 0.0.0.0", "more"] {
            assert_eq!(parsed(wrong).map_err(|error| error.kind), Err(Kind::Invalid), "{wrong}");
        }
    }
}
