//! How a container logs: a driver and its options, in Docker's words.

use super::Parsed;
use super::limits::bytes;
use super::words::{boolean, nearest};
use crate::config::Logging;
use rcr_shim::config::{SyslogForm, SyslogTarget};
use regex_lite::Regex;
use std::collections::BTreeMap;

const DRIVERS: [&str; 5] = ["json-file", "local", "none", "journald", "syslog"];
/// Docker's others.
const ELSEWHERE: [&str; 6] = ["awslogs", "etwlogs", "fluentd", "gcplogs", "gelf", "splunk"];
/// Options of every driver that keeps something.
const COMMON: [&str; 7] = ["tag", "labels", "labels-regex", "env", "env-regex", "mode", "max-buffer-size"];
const OF_FILES: [&str; 3] = ["max-size", "max-file", "compress"];
const OF_SYSLOG: [&str; 3] = ["syslog-address", "syslog-facility", "syslog-format"];
/// By number, from 0 (RFC 5424, 6.2.1).
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// A driver by name.
pub fn driver(text: &str) -> Parsed<String> {
    match text {
        known if DRIVERS.contains(&known) => Ok(known.to_owned()),
        other if ELSEWHERE.contains(&other) => Err(format!(
            "rcr sends nothing to a service by `{other}`: with journald or syslog a forwarder of the host does, or it \
             reads the file that `LogPath` of inspect names"
        )),
        other => Err(format!("there is no log driver `{other}`{}", nearest(other, &DRIVERS))),
    }
}

/// What a driver and its options mean.
#[derive(Debug, Default)]
pub struct Settings {
    /// `rcr logs` has something to read.
    pub keeps: bool,
    /// Bytes of one file; absent: as configured.
    pub max_size: Option<u64>,
    /// Files kept; absent: as configured.
    pub max_files: Option<u32>,
    /// Older files are compressed.
    pub compress: bool,
    /// The name in a log service: see [`tag`].
    pub tag: Option<String>,
    /// Labels that are noted with each line.
    pub labels: Chosen,
    /// Variables that are noted with each line.
    pub env: Chosen,
    /// A log service of the host.
    pub service: Option<Service>,
}

/// A log service of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// The systemd journal.
    Journal,
    /// syslog.
    Syslog {
        /// Where it listens.
        target: SyslogTarget,
        /// The facility's number.
        facility: u8,
        /// How a line is written.
        form: SyslogForm,
    },
}

/// Names, and an expression that others fit.
#[derive(Debug, Default)]
pub struct Chosen {
    names: Vec<String>,
    pattern: Option<Regex>,
}

impl Chosen {
    /// Whether one is among them.
    pub fn takes(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name) || self.pattern.as_ref().is_some_and(|p| p.is_match(name))
    }
}

/// Reads the options of a driver.
pub fn settings(log: &Logging) -> Parsed<Settings> {
    let own: &[&str] = if log.driver == "syslog" { &OF_SYSLOG } else { &[] };
    let known: Vec<&str> = match log.driver.as_str() {
        "none" => Vec::new(),
        _ => COMMON.iter().chain(&OF_FILES).chain(own).copied().collect(),
    };
    if let Some(unknown) = log.options.keys().find(|key| !known.contains(&key.as_str())) {
        let near = if known.is_empty() { String::new() } else { nearest(unknown, &known) };
        return Err(format!("the log driver `{}` has no option `{unknown}`{near}", log.driver));
    }
    let of = |key: &str| log.options.get(key).map(String::as_str);
    check_mode(of("mode"), of("max-buffer-size"))?;
    let local = log.driver == "local";
    let size = |text: &str| match text {
        "-1" => Ok(u64::MAX),
        text => {
            bytes(text).ok().filter(|size| *size > 0).map(|size| size as u64).ok_or(format!("`{text}` is not a size"))
        }
    };
    let count = |text: &str| text.parse().ok().filter(|n| *n > 0).ok_or(format!("`{text}` is not a number of files"));
    let service = match log.driver.as_str() {
        "journald" => Some(Service::Journal),
        "syslog" => Some(syslog(&log.options)?),
        _ => None,
    };
    Ok(Settings {
        keeps: log.driver != "none",
        // What Docker's `local` has where nothing is said.
        max_size: of("max-size").map(size).transpose()?.or(if local { Some(20 << 20) } else { None }),
        max_files: of("max-file").map(count).transpose()?.or(if local { Some(5) } else { None }),
        compress: of("compress").map(boolean).transpose()?.unwrap_or(local),
        tag: of("tag").filter(|text| !text.is_empty()).map(str::to_owned),
        labels: chosen(of("labels"), of("labels-regex"))?,
        env: chosen(of("env"), of("env-regex"))?,
        service,
    })
}

/// Both ways are the same here: a line for a file is written at once, and a service that does not take one loses it.
fn check_mode(mode: Option<&str>, buffer: Option<&str>) -> Parsed<()> {
    match (mode, buffer) {
        (None | Some("blocking" | "non-blocking"), None) => Ok(()),
        (Some("non-blocking"), Some(size)) => bytes(size).map(drop),
        (_, Some(_)) => Err("`max-buffer-size` goes with mode=non-blocking".into()),
        (Some(other), None) => Err(format!("unknown mode `{other}`; known are blocking, non-blocking")),
    }
}

fn chosen(names: Option<&str>, pattern: Option<&str>) -> Parsed<Chosen> {
    let names = names.into_iter().flat_map(|list| list.split(',')).filter(|name| !name.is_empty());
    let pattern = pattern.map(|text| Regex::new(text).map_err(|error| error.to_string())).transpose()?;
    Ok(Chosen { names: names.map(str::to_owned).collect(), pattern })
}

fn syslog(options: &BTreeMap<String, String>) -> Parsed<Service> {
    let of = |key: &str| options.get(key).map(String::as_str);
    let address = of("syslog-address").unwrap_or("unixgram:///dev/log");
    let target = match address.split_once("://") {
        Some(("unix" | "unixgram", path)) if path.starts_with('/') => SyslogTarget::Unix(path.into()),
        Some(("udp", host)) => {
            let whole = if host.parse::<std::net::IpAddr>().is_ok() { format!("{host}:514") } else { host.to_owned() };
            SyslogTarget::Udp(whole.parse().map_err(|_| format!("`{host}` is not an address with a port"))?)
        }
        Some(("tcp" | "tcp+tls", _)) => {
            return Err("a container does not wait for a connection: the host's own syslog forwards by TCP".into());
        }
        _ => return Err(format!("`{address}` is not of the form unixgram:///PATH or udp://ADDRESS:PORT")),
    };
    let facility = match of("syslog-facility") {
        None => 3,
        Some(text) => {
            let by_name = FACILITIES.iter().position(|name| *name == text);
            let found = by_name.or_else(|| text.parse::<usize>().ok()).filter(|number| *number < FACILITIES.len());
            found.ok_or_else(|| format!("unknown facility `{text}`{}", nearest(text, &FACILITIES)))? as u8
        }
    };
    let form = match of("syslog-format") {
        None | Some("" | "rfc3164") => SyslogForm::Rfc3164,
        Some("rfc5424") => SyslogForm::Rfc5424 { microseconds: false },
        Some("rfc5424micro") => SyslogForm::Rfc5424 { microseconds: true },
        Some(other) => return Err(format!("unknown format `{other}`; known are rfc3164, rfc5424, rfc5424micro")),
    };
    Ok(Service::Syslog { target, facility, form })
}

/// A tag with its fields filled in: `{{.Name}}/{{.ID}}`.
pub fn tag(text: &str, fields: &[(&str, &str)]) -> Parsed<String> {
    let mut all = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (field, behind) = after.split_once("}}").ok_or_else(|| format!("`{text}` lacks a `}}}}`"))?;
        let name = field.trim().strip_prefix('.').unwrap_or(field.trim());
        let found = fields.iter().find(|(known, _)| *known == name);
        let known = || fields.iter().map(|(known, _)| format!(".{known}")).collect::<Vec<_>>().join(", ");
        let (_, value) =
            found.ok_or_else(|| format!("a tag has no field `{}`; known are {}", field.trim(), known()))?;
        all.push_str(before);
        all.push_str(value);
        rest = behind;
    }
    all.push_str(rest);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(driver: &str, options: &[(&str, &str)]) -> Parsed<Settings> {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        settings(&Logging { driver: driver.into(), options })
    }

    #[test]
    fn drivers_have_their_options() {
        let file = of("json-file", &[("max-size", "10m"), ("max-file", "3"), ("labels", "a,b"), ("env-regex", "^X")]);
        let file = file.unwrap();
        assert_eq!((file.max_size, file.max_files, file.compress, file.keeps), (Some(10 << 20), Some(3), false, true));
        assert!(file.labels.takes("b") && !file.labels.takes("c") && file.env.takes("XY") && !file.env.takes("YX"));
        let local = of("local", &[]).unwrap();
        assert_eq!((local.max_size, local.max_files, local.compress), (Some(20 << 20), Some(5), true));
        assert!(!of("none", &[]).unwrap().keeps);
        assert_eq!(of("journald", &[("tag", "x")]).unwrap().service, Some(Service::Journal));
        let udp = of("syslog", &[("syslog-address", "udp://192.0.2.1"), ("syslog-facility", "local7")]).unwrap();
        let target = SyslogTarget::Udp("192.0.2.1:514".parse().unwrap());
        assert_eq!(udp.service, Some(Service::Syslog { target, facility: 23, form: SyslogForm::Rfc3164 }));
        for (driver, key, value) in [
            ("none", "max-size", "1m"),
            ("json-file", "max-sise", "1m"),
            ("json-file", "max-size", "lots"),
            ("json-file", "max-file", "0"),
            ("json-file", "mode", "later"),
            ("json-file", "max-buffer-size", "1m"),
            ("json-file", "syslog-address", "udp://1.2.3.4"),
            ("local", "labels-regex", "("),
            ("syslog", "syslog-address", "tcp://1.2.3.4:1"),
            ("syslog", "syslog-facility", "mine"),
            ("syslog", "syslog-format", "json"),
        ] {
            assert!(of(driver, &[(key, value)]).is_err(), "{driver} {key}={value}");
        }
        assert!(driver("gelf").unwrap_err().contains("forwarder") && driver("json").unwrap_err().contains("json-file"));
    }

    #[test]
    fn tags_have_fields() {
        let fields = [("ID", "0123"), ("Name", "web")];
        assert_eq!(tag("{{.Name}}/{{ .ID }}!", &fields).as_deref(), Ok("web/0123!"));
        assert!(
            tag("{{.Nme}}", &fields).unwrap_err().contains("known are .ID, .Name") && tag("{{.ID", &fields).is_err()
        );
    }
}
