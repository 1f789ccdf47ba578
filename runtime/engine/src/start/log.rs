//! Where a container's output goes, as the shim's orders.

use crate::config::Config;
use crate::instance::Instance;
use crate::parse::logging::{self, Service, Settings};
use rcr_base::{Error, Kind, Outcome, sibling};
use rcr_shim::config::{LogConfig, LogFiles, LogService, SyslogConfig};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where the journal listens (systemd-journald.service(8)).
const JOURNAL: &str = "/run/systemd/journal/socket";

/// The orders. Errors: the container's settings can't be understood.
pub fn orders(instance: &Instance, config: &Config) -> Outcome<LogConfig> {
    let refused =
        |why: String| Error::new(Kind::Invalid, format!("cannot log by `{}`", config.log.driver)).caused_by(why);
    let settings = logging::settings(&config.log).map_err(refused)?;
    let tag = settings.tag.as_deref().map(|text| tag(config, text)).transpose().map_err(refused)?;
    let defaults = &instance.config.log;
    let files = settings.keeps.then(|| LogFiles {
        path: instance.dirs.log(&config.id),
        max_size: settings.max_size.unwrap_or(defaults.max_size),
        max_files: settings.max_files.unwrap_or(defaults.max_files),
        compressor: settings.compress.then(|| sibling("rcr-unpack")),
    });
    let mut attrs = noted(config, &settings);
    let service = settings.service.as_ref().map(|service| match service {
        Service::Journal => {
            LogService::Journal { socket: PathBuf::from(JOURNAL), fields: fields(config, tag.as_deref(), &attrs) }
        }
        Service::Syslog { target, facility, form } => LogService::Syslog(SyslogConfig {
            target: target.clone(),
            facility: *facility,
            tag: tag.clone().unwrap_or_else(|| config.id.short().to_owned()),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            pid: std::process::id(),
            form: *form,
        }),
    });
    attrs.extend(tag.map(|tag| ("tag".to_owned(), tag)));
    Ok(LogConfig { files, attrs, service })
}

fn tag(config: &Config, text: &str) -> Result<String, String> {
    let image = config.image.id.trim_start_matches("sha256:");
    logging::tag(
        text,
        &[
            ("ID", config.id.short()),
            ("FullID", config.id.as_str()),
            ("Name", &config.name),
            ("ImageName", &config.image.reference),
            ("ImageID", image.get(..12).unwrap_or(image)),
            ("ImageFullID", &config.image.id),
            ("DaemonName", "rcr"),
        ],
    )
}

/// Labels and variables that are noted with each line.
fn noted(config: &Config, settings: &Settings) -> BTreeMap<String, String> {
    let labels = config.labels.iter().filter(|(name, _)| settings.labels.takes(name));
    let labels = labels.map(|(name, value)| (name.clone(), value.clone()));
    let variables = config.process.env.iter().filter_map(|text| text.split_once('='));
    let variables = variables.filter(|(name, _)| settings.env.takes(name)).map(|(n, v)| (n.to_owned(), v.to_owned()));
    labels.chain(variables).collect()
}

/// What stands in every entry of the journal, under the names that Docker gives it.
fn fields(config: &Config, tag: Option<&str>, attrs: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let tag = tag.unwrap_or(config.id.short());
    let own = [
        ("SYSLOG_IDENTIFIER", tag),
        ("CONTAINER_TAG", tag),
        ("CONTAINER_ID", config.id.short()),
        ("CONTAINER_ID_FULL", config.id.as_str()),
        ("CONTAINER_NAME", &config.name),
        ("IMAGE_NAME", &config.image.reference),
    ];
    // A name has capital letters, digits and underscores, and does not begin with one (systemd.journal-fields(7)).
    let name = |text: &str| {
        let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        text.chars().map(word).collect::<String>().trim_start_matches(|c: char| !c.is_ascii_uppercase()).to_owned()
    };
    let noted = attrs.iter().map(|(key, value)| (name(key), value.clone())).filter(|(key, _)| !key.is_empty());
    own.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).chain(noted).collect()
}
