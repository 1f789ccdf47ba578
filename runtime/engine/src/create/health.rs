//! The health check of a new container: the user's, over the image's.

use super::request::HealthRequest;
use crate::config::{HealthCheck, NetworkMode, OnFailure, Schedule};
use crate::reporter::Reporter;
use rcr_base::{Error, Kind, Outcome};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// Docker's defaults.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;
/// Nothing shorter is taken, as with Docker.
const SHORTEST: Duration = Duration::from_millis(1);

/// `HEALTHCHECK` of an image, in nanoseconds. OCI's form of a config lacks it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ImageCheck {
    test: Option<Vec<String>>,
    interval: Option<i64>,
    timeout: Option<i64>,
    start_period: Option<i64>,
    start_interval: Option<i64>,
    retries: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ImageProcess {
    healthcheck: Option<ImageCheck>,
    shell: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ImageConfig {
    config: ImageProcess,
}

impl ImageProcess {
    /// What the image's config on the disk says; what is malformed in it does not count.
    fn read(config: &Path) -> Self {
        let bytes = std::fs::read(config).unwrap_or_default();
        serde_json::from_slice::<ImageConfig>(&bytes).unwrap_or_default().config
    }
}

/// The check, if there is one. `image`: the image's config on the disk.
pub fn check(wanted: &HealthRequest, image: &Path, reporter: &dyn Reporter) -> Outcome<Option<HealthCheck>> {
    refuse(wanted)?;
    if wanted.none {
        return Ok(None);
    }
    let ImageProcess { healthcheck, shell } = ImageProcess::read(image);
    let image = healthcheck.unwrap_or_default();
    let Some(test) = test(wanted, image.test.as_deref().unwrap_or_default(), reporter) else { return Ok(None) };
    let pick = |given: Option<Duration>, image: Option<i64>, default: Duration| {
        let image = image.filter(|number| *number > 0).map(|number| Duration::from_nanos(number.unsigned_abs()));
        given.filter(|time| !time.is_zero()).or(image.map(|time| time.max(SHORTEST))).unwrap_or(default)
    };
    let of_image = image.retries.and_then(|number| u32::try_from(number).ok());
    let retries = wanted.retries.filter(|n| *n > 0).or(of_image.filter(|n| *n > 0));
    Ok(Some(HealthCheck {
        test,
        shell: shell.filter(|shell| !shell.is_empty()).unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]),
        schedule: Schedule {
            interval: pick(wanted.interval, image.interval, INTERVAL),
            timeout: pick(wanted.timeout, image.timeout, TIMEOUT),
            start_period: pick(wanted.start_period, image.start_period, Duration::ZERO),
            start_interval: pick(wanted.start_interval, image.start_interval, START_INTERVAL),
            retries: retries.unwrap_or(RETRIES),
            on_failure: wanted.on_failure.unwrap_or(OnFailure::None),
        },
    }))
}

/// Names that depend on the check (`--dns-healthy-only`) need one, and names.
pub fn fits_names(mode: &NetworkMode, check: Option<&HealthCheck>) -> Outcome<()> {
    let refused = |why: &str, way: &str| {
        Err(Error::new(Kind::Invalid, "cannot answer names only while the container is healthy")
            .caused_by(why)
            .hint(way))
    };
    match mode {
        NetworkMode::None | NetworkMode::Container(_) | NetworkMode::Path(_) => {
            refused("it has no names on its network", "leave `--dns-healthy-only` out, or name a network")
        }
        _ if check.is_none() => {
            refused("it has no health check", "`--health-cmd COMMAND` is one, or leave `--dns-healthy-only` out")
        }
        _ => Ok(()),
    }
}

/// What contradicts itself, or would keep the host busy.
fn refuse(wanted: &HealthRequest) -> Outcome<()> {
    if wanted.none && wanted.is_given() {
        return Err(Error::new(Kind::Invalid, "cannot combine `--no-healthcheck` with the other flags of a check"));
    }
    let times = [
        ("--health-interval", wanted.interval),
        ("--health-timeout", wanted.timeout),
        ("--health-start-interval", wanted.start_interval),
    ];
    match times.into_iter().find(|(_, time)| time.is_some_and(|time| !time.is_zero() && time < SHORTEST)) {
        Some((flag, _)) => Err(Error::new(Kind::Invalid, format!("`{flag}` must be at least {SHORTEST:?}"))),
        None => Ok(()),
    }
}

/// What is run; absent: nothing.
fn test(wanted: &HealthRequest, image: &[String], reporter: &dyn Reporter) -> Option<Vec<String>> {
    match &wanted.command {
        Some(line) if line == "none" => return None,
        Some(line) if !line.is_empty() => return Some(vec!["CMD-SHELL".to_owned(), line.clone()]),
        _ => {}
    }
    match image.first().map(String::as_str) {
        None | Some("NONE" | "") => None,
        Some("CMD" | "CMD-SHELL") if image.len() > 1 => Some(image.to_vec()),
        Some(_) => {
            let test = image.join(" ");
            reporter
                .warning(&format!("the image's health check `{test}` is not run: it is none of CMD, CMD-SHELL, NONE"));
            None
        }
    }
}
