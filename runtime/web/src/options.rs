//! The command line of `rcr-web`. People type `rcr web`, which hands over to it.

use crate::route::Act;
use rcr_base::{Arguments, Error, InstanceArguments, Kind, Outcome};

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
    /// Whose page it is.
    pub instance: InstanceArguments,
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
pub fn parse(args: impl Iterator<Item = String>) -> Outcome<Parsed> {
    read(args).map_err(|error| error.hint("`rcr-web --help` lists all options"))
}

fn read(args: impl Iterator<Item = String>) -> Outcome<Parsed> {
    let mut args = Arguments::new(args);
    let mut options = Options { port: 0, changes: false, instance: InstanceArguments::from_env() };
    while let Some(name) = args.name() {
        if options.instance.take(&name, &mut args)? {
            continue;
        }
        match name.as_str() {
            "--port" => {
                let text = args.value()?;
                options.port = text.parse().map_err(|_| refused(format!("`{text}` is no port")))?;
            }
            "--allow-changes" => options.changes = true,
            CHANGE => {
                let act = serde_json::from_str(&args.value()?).map_err(|error| refused(error.to_string()))?;
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
    Error::new(Kind::Invalid, why)
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
        let InstanceArguments { root, run, config } = &options.instance;
        let folders = (root.to_str(), run.to_str(), config.as_ref().and_then(|c| c.to_str()));
        assert_eq!((options.port, options.changes, folders), (81, true, (Some("/a"), Some("/b"), Some("/c"))));
        let change = parse(["--root", "/a", CHANGE, r#"{"start":"--port"}"#].into_iter().map(str::to_owned));
        assert!(matches!(change, Ok(Parsed::Change(_, Act::Start(name))) if name == "--port"));
        for wrong in ["--change", "--change x", "--port", "--port x", "--port 65536", "--listen 0.0.0.0", "more"] {
            assert_eq!(parsed(wrong).map_err(|error| error.kind), Err(Kind::Invalid), "{wrong}");
        }
    }
}
