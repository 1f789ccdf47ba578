//! The command lines of the programs beside `rcr`: few options, each `--name value` or `--name=value`.

use crate::{Error, Kind, Outcome};
use std::path::PathBuf;

/// Options, one after the other.
pub struct Arguments<I> {
    rest: I,
    name: String,
    /// What stood behind its `=`.
    inline: Option<String>,
}

impl<I: Iterator<Item = String>> Arguments<I> {
    /// Those of a command line, without the program's name.
    pub fn new(rest: I) -> Self {
        Self { rest, name: String::new(), inline: None }
    }

    /// The next option's name.
    pub fn name(&mut self) -> Option<String> {
        let word = self.rest.next()?;
        (self.name, self.inline) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        Some(self.name.clone())
    }

    /// The value of the option whose name was the last. Errors: it has none.
    pub fn value(&mut self) -> Outcome<String> {
        let value = self.inline.take().or_else(|| self.rest.next());
        value.ok_or_else(|| Error::new(Kind::Invalid, format!("`{}` needs a value", self.name)))
    }
}

/// Which instance: each has state of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceArguments {
    /// The folder of the state that survives a reboot.
    pub root: PathBuf,
    /// The folder of the state that does not.
    pub run: PathBuf,
    /// The configuration's file, if one is named.
    pub config: Option<PathBuf>,
}

impl InstanceArguments {
    /// As the environment has it (`RCR_ROOT`, `RCR_RUN`, `RCR_CONFIG`), else the host's own.
    pub fn from_env() -> Self {
        let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
        Self {
            root: named("RCR_ROOT").unwrap_or_else(|| "/var/lib/rcr".into()),
            run: named("RCR_RUN").unwrap_or_else(|| "/run/rcr".into()),
            config: named("RCR_CONFIG"),
        }
    }

    /// Takes `--root`, `--run` or `--config`. False: the option is none of them.
    pub fn take(&mut self, name: &str, arguments: &mut Arguments<impl Iterator<Item = String>>) -> Outcome<bool> {
        match name {
            "--root" => self.root = arguments.value()?.into(),
            "--run" => self.run = arguments.value()?.into(),
            "--config" => self.config = Some(arguments.value()?.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_behind_a_name_or_in_it() {
        let mut arguments = Arguments::new(["--a=b=c", "--d", "--e", "--f"].map(str::to_owned).into_iter());
        assert_eq!(arguments.name().as_deref(), Some("--a"));
        assert_eq!(arguments.value().unwrap(), "b=c");
        assert_eq!(arguments.name().as_deref(), Some("--d"));
        assert_eq!(arguments.value().unwrap(), "--e");
        assert_eq!(arguments.name().as_deref(), Some("--f"));
        let missing = arguments.value().unwrap_err();
        assert_eq!((missing.kind, missing.message.as_str()), (Kind::Invalid, "`--f` needs a value"));
        assert_eq!(arguments.name(), None);
    }
}
