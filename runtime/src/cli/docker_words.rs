//! Docker's verbs that rcr does not have: why, and our way to the same end. Without this table a verb would be taken
//! for a mistyped one of ours.

use rcr_base::{Error, Kind};

/// Verb, why there is none, the way.
pub const WORDS: &[(&str, &str, &str)] = &[
    ("swarm", CLUSTER, CLUSTER_WAY),
    (
        "service",
        "nothing spreads containers over hosts",
        "`rcr run --restart always` on the hosts where they are wanted",
    ),
    (
        "stack",
        "nothing spreads containers over hosts",
        "`rcr run` for each service, on one overlay network: `rcr network create -d overlay NAME`",
    ),
    ("secret", "there is no store of secrets", "`-v /path/to/FILE:/run/secrets/NAME:ro` gives a container a file"),
    ("config", "there is no store of configurations", "`-v /path/to/FILE:/etc/FILE:ro` gives a container a file"),
    ("context", "there is no remote daemon to choose", "`--root` and `--run` name another instance on this machine"),
    ("plugin", "drivers are built in", "`rcr network create -d` takes bridge, overlay, macvlan and ipvlan"),
    ("search", "it searches Docker Hub alone", "look for the image on its web page, then `rcr pull NAME`"),
    ("trust", "signatures of images are not checked", "`NAME@sha256:…` takes exactly one image"),
    ("manifest", "images of several platforms are not made here", "`buildah manifest` makes them"),
    ("bake", "it reads a language of its own", "`rcr build -t NAME .` for each image"),
    (
        "compose",
        "there is no API that compose could speak to, yet",
        "`rcr run -d --name SERVICE --network NAME …` for each service; they find each other by name",
    ),
    ("checkpoint", "containers are not saved to disk", "`rcr stop` and `rcr start` keep its files"),
    ("scout", "images are not searched for weaknesses", "`rcr save -o image.tar IMAGE` gives a scanner the archive"),
];

const CLUSTER: &str = "hosts share networks without a swarm";
const CLUSTER_WAY: &str = "on each host, in /etc/rcr/config.toml: `[cluster]` and `store = \"etcd://HOST:PORT\"`; then `rcr node ls` shows them";

/// The error for a verb of Docker's that rcr does not have.
pub fn refused(verb: &str) -> Option<Error> {
    let (_, why, way) = WORDS.iter().find(|(word, ..)| *word == verb)?;
    Some(Error::new(Kind::Invalid, format!("there is no `rcr {verb}`")).caused_by(*why).hint(*way))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn no_word_of_the_table_is_a_verb_of_ours() {
        let ours = Cli::command();
        for (word, ..) in WORDS {
            assert!(ours.find_subcommand(word).is_none(), "`{word}` is there now: take it off the table");
        }
    }
}
