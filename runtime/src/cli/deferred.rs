//! Flags, and verbs below a verb, that are put into the grammar only where their verb is used: making all of them for
//! every start of the program takes longer than most verbs do.

use clap::builder::{Resettable, StyledStr};
use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Subcommand};
use std::ops::Deref;

/// The flags of a verb, or the verbs below it, see [`Command::defer`].
#[derive(Debug)]
pub struct Deferred<T>(Box<T>);

impl<T> Deferred<T> {
    /// What was said.
    pub fn into_inner(self) -> T {
        *self.0
    }
}

impl<T> Deref for Deferred<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: FromArgMatches> FromArgMatches for Deferred<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(|args| Self(Box::new(args)))
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches_mut(matches).map(|args| Self(Box::new(args)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<T: Args> Args for Deferred<T> {
    fn augment_args(command: Command) -> Command {
        command.defer(|command| about_the_same(command, T::augment_args))
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(|command| about_the_same(command, T::augment_args_for_update))
    }
}

impl<T: Subcommand> Subcommand for Deferred<T> {
    fn augment_subcommands(command: Command) -> Command {
        command.defer(|command| about_the_same(command, T::augment_subcommands))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        command.defer(|command| about_the_same(command, T::augment_subcommands_for_update))
    }

    fn has_subcommand(name: &str) -> bool {
        T::has_subcommand(name)
    }
}

/// What is said about a verb is said where it is named: words about a group of its flags must not take their place.
fn about_the_same(command: Command, augment: fn(Command) -> Command) -> Command {
    let kept = |text: Option<&StyledStr>| text.cloned().map_or(Resettable::Reset, Resettable::Value);
    let (about, long) = (kept(command.get_about()), kept(command.get_long_about()));
    augment(command).about(about).long_about(long)
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::{Command, CommandFactory};

    fn said(command: &Command) -> Vec<String> {
        let own =
            format!("{}: {}", command.get_name(), command.get_about().map(ToString::to_string).unwrap_or_default());
        let verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help");
        std::iter::once(own).chain(verbs.flat_map(said)).collect()
    }

    #[test]
    fn a_verb_is_about_the_same_with_its_flags() {
        let (plain, mut built) = (Cli::command(), Cli::command());
        built.build();
        let said = said(&built);
        for verb in plain.get_subcommands() {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(said.contains(&format!("{}: {about}", verb.get_name())), "{}", verb.get_name());
        }
        let run = built.find_subcommand("run").and_then(|run| run.get_about());
        assert_eq!(run.map(ToString::to_string).as_deref(), Some("Create a container and start it"));
    }
}
