//! Completion: a shell asks us while somebody types, with [`VARIABLE`] set. Verbs and flags come from the grammar, names
//! of containers, networks, images and volumes from this instance, if it may be read. Nothing is started for it, and no
//! word is said about what fails: somebody is typing.

use crate::cli::Cli;
use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};
use clap_complete::env::CompleteEnv;
use clap_complete::{ArgValueCandidates, CompletionCandidate};
use rcr_base::InstanceArguments;
use rcr_engine::instance::Instance;
use rcr_engine::{images, networks, volumes};

/// The environment variable by which a shell asks; its value is the shell's name.
pub const VARIABLE: &str = "RCR_COMPLETE";

/// Answers a shell. False: this is no question of one.
pub fn answer() -> bool {
    if std::env::var_os(VARIABLE).is_none() {
        return false;
    }
    let env = CompleteEnv::with_factory(grammar).var(VARIABLE);
    let folder = std::env::current_dir().ok();
    env.try_complete(std::env::args_os(), folder.as_deref()).unwrap_or(true)
}

/// The grammar, with what is there where a name is wanted.
fn grammar() -> Command {
    let mut command = Cli::command();
    // Flags that are deferred are wanted, too.
    command.build();
    with_names(command)
}

fn with_names(command: Command) -> Command {
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let command = command.mut_args(named);
    verbs.into_iter().fold(command, |command, verb| command.mut_subcommand(verb, with_names))
}

/// Arguments are known by what their help calls them.
fn named(arg: Arg) -> Arg {
    let name = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    match name.as_deref().unwrap_or(arg.get_id().as_str()) {
        "CONTAINER" | "container" | "FROM" | "TO[:PORT][/udp|/sctp]" => arg.add(ArgValueCandidates::new(containers)),
        "CONTAINER|NETWORK" | "NETWORK|CONTAINER" => {
            arg.add(ArgValueCandidates::new(|| containers().into_iter().chain(all_networks()).collect::<Vec<_>>()))
        }
        "NETWORK" | "network" => arg.add(ArgValueCandidates::new(all_networks)),
        "IMAGE" | "image" => arg.add(ArgValueCandidates::new(all_images)),
        "VOLUME" => arg.add(ArgValueCandidates::new(all_volumes)),
        _ => arg,
    }
}

/// The instance that the environment names; flags are not read yet.
fn instance() -> Option<Instance> {
    let InstanceArguments { root, run, config } = InstanceArguments::from_env();
    Instance::open(&root, &run, config.as_deref()).ok()
}

fn candidate(name: String, help: String) -> CompletionCandidate {
    CompletionCandidate::new(name).help(Some(StyledStr::from(help)))
}

fn containers() -> Vec<CompletionCandidate> {
    let found = instance().and_then(|instance| instance.containers().list().ok());
    let all = found.into_iter().flatten();
    all.map(|c| candidate(c.config.name, format!("{}, {}", c.config.image.reference, c.state.status.name()))).collect()
}

fn all_networks() -> Vec<CompletionCandidate> {
    let found = instance().and_then(|instance| networks::known(&instance));
    found.into_iter().flatten().map(|info| candidate(info.name.to_string(), info.driver.name().to_owned())).collect()
}

fn all_images() -> Vec<CompletionCandidate> {
    let found = instance().filter(|instance| instance.dirs.images().is_dir());
    let all = found.and_then(|instance| images::list(&instance, None, &[]).ok()).into_iter().flatten();
    all.flat_map(|image| image.names).map(CompletionCandidate::new).collect()
}

fn all_volumes() -> Vec<CompletionCandidate> {
    let found = instance().and_then(|instance| volumes::list(&instance).ok());
    found.into_iter().flatten().map(|volume| CompletionCandidate::new(volume.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_what_there_is_are_asked_for_where_one_is_wanted() {
        let grammar = grammar();
        let wants = |path: &[&str], arg: &str| {
            let verb = path.iter().fold(&grammar, |command, name| command.find_subcommand(name).unwrap());
            let arg = verb.get_arguments().find(|known| known.get_id() == arg).unwrap();
            arg.get::<ArgValueCandidates>().is_some()
        };
        for (path, arg) in [
            (&["rm"][..], "names"),
            (&["exec"], "name"),
            (&["stats"], "names"),
            (&["run"], "image"),
            (&["run"], "network"),
            (&["network", "capture"], "at"),
            (&["network", "plan"], "of"),
            (&["network", "connect"], "network"),
            (&["network", "connect"], "container"),
            (&["image", "rm"], "images"),
            (&["volume", "rm"], "names"),
            (&["container", "stop"], "names"),
        ] {
            assert!(wants(path, arg), "{path:?} {arg}");
        }
        assert!(!wants(&["run"], "name") && !wants(&["volume", "create"], "name"));
    }
}
