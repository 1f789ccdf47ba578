//! Flags' values that need a check.

use rcr_base::{Error, Kind, Outcome};
use rcr_images::remote::Platform;
use std::str::FromStr;

/// A flag's value that can't be understood.
pub fn flag<T>(name: &str, text: &str, parsed: Result<T, String>) -> Outcome<T> {
    parsed.map_err(|why| Error::new(Kind::Invalid, format!("cannot understand `{name} {text}`")).caused_by(why))
}

pub fn flags<T>(name: &str, texts: &[String], parse: impl Fn(&str) -> Result<T, String>) -> Outcome<Vec<T>> {
    texts.iter().map(|text| flag(name, text, parse(text))).collect()
}

/// A value that says itself how it is written.
pub fn parse<T: FromStr>(flag: &str, text: &str) -> Outcome<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e: T::Err| {
        Error::new(Kind::Invalid, format!("cannot understand `{flag} {text}`")).caused_by(e.to_string())
    })
}

/// `--platform`.
pub fn platform(text: Option<&str>) -> Outcome<Option<Platform>> {
    let parse = |text: &str| {
        let parsed = text.parse::<Platform>();
        parsed.map_err(|why| Error::new(Kind::Invalid, format!("cannot understand `--platform {text}`")).caused_by(why))
    };
    text.map(parse).transpose()
}
