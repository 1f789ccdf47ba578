//! netd's command line.

use netd::daemon::Options;
use netd_api::{ApiError, ErrorKind};
use rcr_base::{Arguments, Config, InstanceArguments, METRICS_ADDRESSES};
use std::path::{Path, PathBuf};

const USAGE: &str = "\
Usage: netd [--daemon] [--root DIR] [--run DIR] [--config FILE] [--metrics ADDR]

The network daemon of rcr; rcr starts it when it is needed.

  --daemon       go to the background once the socket answers
  --root DIR     state that outlives a reboot [RCR_ROOT, /var/lib/rcr]
  --run DIR      socket, pid file and log [RCR_RUN, /run/rcr]
  --store URL    etcd://HOST:PORT[,HOST:PORT...]: share overlay networks with other hosts (cluster.store)
  --metrics ADDR 127.0.0.1:PORT, [::1]:PORT or the path of a unix socket: numbers for Prometheus (metrics.address)
  --config FILE  [RCR_CONFIG, /etc/rcr/config.toml, which may be missing]
  --errors=json  why it could not start, as one JSON object on stderr
  --version      print the version

Example: netd --root /tmp/a/lib --run /tmp/a/run
";

/// What the command line asks for.
pub enum Parsed {
    Run(Box<Options>),
    Print(String),
}

/// Reads the command line.
pub fn parse(args: impl Iterator<Item = String>) -> Result<Parsed, ApiError> {
    let refused = |why: String| ApiError::new(ErrorKind::Invalid, why);
    let (mut args, mut instance) = (Arguments::new(args), InstanceArguments::from_env());
    let (mut daemon, mut store, mut metrics) = (false, None, None);
    while let Some(name) = args.name() {
        if instance.take(&name, &mut args)? {
            continue;
        }
        match name.as_str() {
            "--store" => store = Some(args.value()?),
            "--metrics" => metrics = Some(args.value()?),
            "--daemon" => daemon = true,
            "--errors" if args.value()? == "json" => {}
            "--help" | "-h" => return Ok(Parsed::Print(USAGE.to_owned())),
            "--version" | "-V" => {
                return Ok(Parsed::Print(format!("netd {}\n", env!("CARGO_PKG_VERSION"))));
            }
            other => {
                return Err(refused(format!("unknown option `{other}`")).hint("`netd --help` lists all options"));
            }
        }
    }
    let InstanceArguments { root, run, config } = instance;
    let mut config = read_config(config.as_deref())?;
    if store.is_some() {
        config.cluster.store = store;
        config.cluster.endpoints().map_err(refused)?;
    }
    if metrics.is_some() {
        config.metrics.address = metrics;
        let wrong = |why| refused("cannot serve metrics there".into()).caused_by(why).hint(expected());
        config.metrics.address().map_err(wrong)?;
    }
    let absolute =
        |path: PathBuf| std::path::absolute(&path).map_err(|error| refused(format!("`{}`: {error}", path.display())));
    Ok(Parsed::Run(Box::new(Options { root: absolute(root)?, run: absolute(run)?, config, daemon })))
}

fn expected() -> String {
    format!("`--metrics` takes {METRICS_ADDRESSES}")
}

fn read_config(path: Option<&Path>) -> Result<Config, ApiError> {
    let default = Path::new("/etc/rcr/config.toml");
    if path.is_none() && !default.exists() {
        return Ok(Config::default());
    }
    Config::read(path.unwrap_or(default))
}

/// Why netd could not start: for people, or (`--errors=json`) for who started it.
pub fn told(error: &ApiError) -> String {
    if std::env::args().any(|arg| arg == "--errors=json") {
        return serde_json::to_string(error).unwrap_or_default();
    }
    error.told()
}
