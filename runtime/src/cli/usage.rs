//! Usage errors in our form: what is wrong, why, and the way out.

use super::argv::Refused;
use super::{docker_flags, docker_words};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use rcr_base::{Error, Kind};
use std::error::Error as _;

/// A command line that is refused before it is parsed.
pub fn refused(why: Refused) -> Error {
    match why {
        Refused::OneDash(written, meant) => Error::new(Kind::Invalid, format!("unknown flag `{written}`"))
            .hint(format!("did you mean `{meant}`? long flags have two dashes")),
        Refused::NotABoolean(flag, value) => Error::new(Kind::Invalid, format!("cannot understand `{flag}={value}`"))
            .caused_by("it is neither true nor false"),
    }
}

/// A command line that can't be parsed.
pub fn usage(error: &clap::Error) -> Error {
    match error.kind() {
        ErrorKind::ValueValidation => value(error).unwrap_or_else(|| as_text(error)),
        ErrorKind::UnknownArgument => flag(error).unwrap_or_else(|| as_text(error)),
        ErrorKind::InvalidSubcommand => verb(error).unwrap_or_else(|| as_text(error)),
        _ => as_text(error),
    }
}

/// A verb of Docker's that rcr does not have.
fn verb(error: &clap::Error) -> Option<Error> {
    match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(verb)) => docker_words::refused(verb),
        _ => None,
    }
}

/// A flag of Docker's that the verb does not have.
fn flag(error: &clap::Error) -> Option<Error> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let text = error.to_string();
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "))?;
    let words: Vec<&str> = usage.split(' ').skip(1).take_while(|word| word.starts_with(char::is_lowercase)).collect();
    docker_flags::refused(&words, flag)
}

/// A value that its parser refuses.
fn value(error: &clap::Error) -> Option<Error> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (argument, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    // `--publish <…>`, `--sig-proxy[=<…>]`; an operand has its name alone.
    let written = match argument.starts_with("--") {
        true => format!("{} {value}", argument.split([' ', '[', '=']).next()?),
        false => value.to_owned(),
    };
    let failure = Error::new(Kind::Invalid, format!("cannot understand `{written}`"));
    Some(match error.source() {
        Some(why) => failure.caused_by(why.to_string()),
        None => failure,
    })
}

/// The first line is what is wrong, a tip becomes the hint.
fn as_text(error: &clap::Error) -> Error {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("cannot understand the command line");
    let first = first.trim_start_matches("error: ").replace('\'', "`");
    let (mut missing, mut hint) = (Vec::new(), None);
    for line in lines {
        if let Some(tip) = line.strip_prefix("tip: ") {
            hint.get_or_insert_with(|| tip.replace('\'', "`"));
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            let verb: Vec<&str> = usage.split(' ').take_while(|word| word.starts_with(char::is_alphabetic)).collect();
            hint.get_or_insert_with(|| format!("`{} --help` shows how it is used", verb.join(" ")));
        } else if !line.starts_with("For more information") {
            missing.push(line.to_owned());
        }
    }
    let failure = missing.into_iter().fold(Error::new(Kind::Invalid, first), Error::caused_by);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    #[test]
    fn a_value_that_is_refused_is_named_with_its_flag_and_the_reason() {
        let said = |line: &str| {
            let error = usage(&Cli::try_parse_from(line.split(' ')).unwrap_err());
            (error.message, error.causes)
        };
        assert_eq!(
            said("rcr run -p 99999:80 alpine"),
            ("cannot understand `--publish 99999:80`".into(), vec!["`99999` is not a port (1 to 65535)".into()])
        );
        assert_eq!(said("rcr network create --subnet 10.0.0.1/24 n").0, "cannot understand `--subnet 10.0.0.1/24`");
        assert_eq!(said("rcr port web 0").0, "cannot understand `0`");
        assert_eq!(said("rcr run --sig-proxy=x alpine").0, "invalid value `x` for `--sig-proxy[=<SIG_PROXY>]`");
        let swarm = usage(&Cli::try_parse_from(["rcr", "swarm", "init", "--advertise-addr", "x"]).unwrap_err());
        assert_eq!(swarm.message, "there is no `rcr swarm`");
        assert!(swarm.hint.unwrap().contains("etcd://HOST:PORT"));
        let gpu = usage(&Cli::try_parse_from(["rcr", "run", "--kernel-memory", "1m", "x"]).unwrap_err());
        assert_eq!(gpu.message, "`rcr run` has no `--kernel-memory`");
        let mistyped = usage(&Cli::try_parse_from(["rcr", "netwrk"]).unwrap_err());
        assert!(mistyped.hint.unwrap().contains("network"));
        let missing = usage(&Cli::try_parse_from(["rcr", "run"]).unwrap_err());
        assert!(missing.hint.unwrap().starts_with("`rcr run --help`"));
    }
}
