//! The flags that Docker 28 has for `run`, `create`, `exec` and `network create`: those that work here, and for every
//! other one why it does not, and our way to the same end. Without this table a flag would be taken for a mistyped one
//! of ours. docs/from-docker.md is made from it.

use rcr_base::{Error, Kind};

/// What becomes of a flag of Docker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As with Docker.
    Works,
    /// It works, with this to be known.
    Note(&'static str),
    /// Why it is refused, and the way out.
    Refused(&'static str, &'static str),
}

use Verdict::{Note, Refused, Works};

/// Docker's flags of one verb, by name.
pub struct Verb {
    /// The verb as words; `container run` is the same as `run`.
    pub words: &'static [&'static str],
    /// In the order of the alphabet.
    pub flags: &'static [(&'static str, Verdict)],
}

const WINDOWS: Verdict = Refused("it is for containers of Windows", "leave it out");
const REAL_TIME: Verdict = Refused(
    "few kernels have real-time budgets for cgroups (CONFIG_RT_GROUP_SCHED), and cgroup v2 has none",
    "`--cap-add SYS_NICE --ulimit rtprio=99` lets its programs use sched_setscheduler(2)",
);
const SWARM: Verdict = Refused(
    "there is no swarm",
    "`rcr network create -d overlay NAME` on hosts with the same `[cluster] store` spans them",
);

/// What `create` has, and `run`, too.
const CREATE: &[(&str, Verdict)] = &[
    ("add-host", Works),
    ("annotation", Works),
    ("attach", Works),
    ("blkio-weight", Works),
    ("blkio-weight-device", Note("for disks whose scheduler is bfq")),
    ("cap-add", Works),
    ("cap-drop", Works),
    ("cgroup-parent", Works),
    ("cgroupns", Works),
    ("cidfile", Works),
    ("cpu-count", WINDOWS),
    ("cpu-percent", WINDOWS),
    ("cpu-period", Works),
    ("cpu-quota", Works),
    ("cpu-rt-period", REAL_TIME),
    ("cpu-rt-runtime", REAL_TIME),
    ("cpu-shares", Works),
    ("cpus", Works),
    ("cpuset-cpus", Works),
    ("cpuset-mems", Works),
    ("device", Works),
    ("device-cgroup-rule", Works),
    ("device-read-bps", Works),
    ("device-read-iops", Works),
    ("device-write-bps", Works),
    ("device-write-iops", Works),
    (
        "disable-content-trust",
        Refused("signatures of images are not checked", "leave it out; `NAME@sha256:…` takes exactly one image"),
    ),
    ("dns", Works),
    ("dns-option", Works),
    ("dns-search", Works),
    ("domainname", Works),
    ("entrypoint", Works),
    ("env", Works),
    ("env-file", Works),
    ("expose", Works),
    ("gpus", Works),
    ("group-add", Works),
    ("health-cmd", Works),
    ("health-interval", Works),
    ("health-retries", Works),
    ("health-start-interval", Works),
    ("health-start-period", Works),
    ("health-timeout", Works),
    ("help", Works),
    ("hostname", Works),
    ("init", Works),
    ("interactive", Works),
    ("io-maxbandwidth", WINDOWS),
    ("io-maxiops", WINDOWS),
    ("ip", Works),
    ("ip6", Works),
    ("ipc", Works),
    ("isolation", WINDOWS),
    ("kernel-memory", Refused("the kernel counts its memory together with the container's", "`-m` limits both")),
    ("label", Works),
    ("label-file", Works),
    ("link", Note("on every network, and without variables")),
    (
        "link-local-ip",
        Refused(
            "an address comes from the network's subnet",
            "`rcr network create --subnet 169.254.7.0/24 NAME`, then `--ip`",
        ),
    ),
    ("log-driver", Note("json-file, local, none, journald, syslog")),
    ("log-opt", Works),
    ("mac-address", Works),
    ("memory", Works),
    ("memory-reservation", Works),
    ("memory-swap", Works),
    ("memory-swappiness", Note("cgroup v1; left out with a warning on v2")),
    ("mount", Works),
    ("name", Works),
    ("network", Works),
    ("network-alias", Works),
    ("no-healthcheck", Works),
    ("oom-kill-disable", Note("cgroup v1; left out with a warning on v2")),
    ("oom-score-adj", Works),
    ("pid", Works),
    ("pids-limit", Note("2048 where it is not given")),
    ("platform", Works),
    ("privileged", Works),
    ("publish", Works),
    ("publish-all", Works),
    ("pull", Works),
    ("quiet", Works),
    ("read-only", Works),
    ("restart", Works),
    ("rm", Works),
    ("runtime", Note("rcr is its own runtime: others are refused by name")),
    ("security-opt", Works),
    ("shm-size", Works),
    ("stop-signal", Works),
    ("stop-timeout", Works),
    (
        "storage-opt",
        Refused(
            "a container's layer has no quota of its own",
            "`--read-only` with `--tmpfs /DIR:size=100m`, or `-v` of a folder with a quota, bounds what it writes",
        ),
    ),
    ("sysctl", Works),
    ("tmpfs", Works),
    ("tty", Works),
    ("ulimit", Works),
    ("use-api-socket", Refused("there is no API whose socket it could get", "leave it out")),
    ("user", Works),
    ("userns", Note("host: containers have no user namespace of their own")),
    ("uts", Works),
    ("volume", Works),
    ("volume-driver", Note("local: others are refused by name")),
    ("volumes-from", Works),
    ("workdir", Works),
];

/// What `run` has beyond that.
const RUN: &[(&str, Verdict)] = &[("detach", Works), ("detach-keys", Works), ("sig-proxy", Works)];

const EXEC: &[(&str, Verdict)] = &[
    ("detach", Works),
    ("detach-keys", Works),
    ("env", Works),
    ("env-file", Works),
    ("interactive", Works),
    ("privileged", Works),
    ("tty", Works),
    ("user", Works),
    ("workdir", Works),
];

const NETWORK_CREATE: &[(&str, Verdict)] = &[
    ("attachable", Note("every network is")),
    ("aux-address", Works),
    (
        "config-from",
        Refused("a network is made of its own options", "a shell's variable can hold options of several networks"),
    ),
    (
        "config-only",
        Refused("a network is made of its own options", "a shell's variable can hold options of several networks"),
    ),
    ("driver", Works),
    ("gateway", Works),
    ("ingress", SWARM),
    ("internal", Works),
    ("ip-range", Works),
    ("ipam-driver", Note("default and dhcp")),
    ("ipam-opt", Refused("neither of the IPAM drivers has options", "leave it out")),
    ("ipv4", Works),
    ("ipv6", Works),
    ("label", Works),
    ("opt", Works),
    (
        "scope",
        Refused("the driver says it: overlay networks are the cluster's, all others this host's", "leave it out"),
    ),
    ("subnet", Works),
];

const BUILDKIT: Verdict = Refused("buildah builds, and not BuildKit", "leave it out");

const BUILD: &[(&str, Verdict)] = &[
    ("add-host", Works),
    ("allow", BUILDKIT),
    ("annotation", Refused("images have Docker's form, which has none", "`--label` says it, too")),
    ("attest", BUILDKIT),
    ("build-arg", Works),
    ("build-context", Refused("it has one context", "a further `FROM … AS NAME` and `COPY --from=NAME`")),
    ("builder", BUILDKIT),
    ("cache-from", Note("accepted: only what was built here is a cache")),
    ("cache-to", Refused("the cache is this host's alone", "leave it out; it stays between builds")),
    ("call", BUILDKIT),
    ("cgroup-parent", Refused("what RUN starts has no cgroup of its own", "leave it out")),
    ("check", BUILDKIT),
    ("debug", BUILDKIT),
    ("file", Works),
    ("force-rm", Note("accepted: no container is left over")),
    ("iidfile", Works),
    ("isolation", WINDOWS),
    ("label", Works),
    ("load", Note("accepted: the image is always loaded")),
    ("metadata-file", Refused("buildah builds, and not BuildKit", "`--iidfile FILE` writes the image's id")),
    ("network", Note("host, none; RUN is on the host's network unless it is none")),
    ("no-cache", Works),
    ("no-cache-filter", Refused("the cache is used for all stages or for none", "`--no-cache`")),
    ("output", Refused("the image goes into the store", "`rcr save -o FILE IMAGE`, or `rcr create` and `rcr cp`")),
    ("platform", Note("one at a time")),
    ("progress", Note("accepted: progress is lines of text")),
    ("provenance", Note("false alone: images have no attestations")),
    ("pull", Works),
    ("push", Works),
    ("quiet", Works),
    ("rm", Note("accepted: no container is left over")),
    ("sbom", Note("false alone: images have no attestations")),
    ("secret", Works),
    ("shm-size", Works),
    (
        "squash",
        Refused("layers stay as the steps made them", "a last stage with one `COPY --from=STAGE / /` has one layer"),
    ),
    ("ssh", Works),
    ("tag", Works),
    ("target", Works),
    ("ulimit", Works),
];

/// All verbs whose flags are listed here.
pub const VERBS: [Verb; 6] = [
    Verb { words: &["run"], flags: RUN },
    Verb { words: &["run"], flags: CREATE },
    Verb { words: &["create"], flags: CREATE },
    Verb { words: &["exec"], flags: EXEC },
    Verb { words: &["network", "create"], flags: NETWORK_CREATE },
    Verb { words: &["build"], flags: BUILD },
];

/// The error for a flag of Docker's that a verb of ours does not have. `verb`: its words.
pub fn refused(verb: &[&str], flag: &str) -> Option<Error> {
    let verb = verb.strip_prefix(&["container"]).unwrap_or(verb);
    let groups = [&["image", "build"][..], &["builder", "build"], &["buildx", "build"]];
    let verb = if groups.contains(&verb) { &["build"][..] } else { verb };
    let name = flag.strip_prefix("--")?;
    let all = VERBS.iter().filter(|known| known.words == verb).flat_map(|known| known.flags);
    match all.into_iter().find(|(known, _)| *known == name)? {
        (_, Refused(why, way)) => {
            let line = format!("`rcr {}` has no `{flag}`", verb.join(" "));
            Some(Error::new(Kind::Invalid, line).caused_by(*why).hint(*way))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    /// A flag is in the grammar if and only if the table says that it works.
    #[test]
    fn the_table_says_what_the_grammar_knows() {
        let mut cli = Cli::command();
        cli.build();
        for Verb { words, flags } in VERBS {
            let verb = words.iter().try_fold(&cli, |at, word| at.find_subcommand(word)).unwrap();
            for (flag, verdict) in flags {
                let has = |arg: &clap::Arg| {
                    arg.get_long() == Some(flag) || arg.get_all_aliases().is_some_and(|all| all.contains(flag))
                };
                let there = verb.get_arguments().any(has);
                let refused = matches!(verdict, Refused(..));
                assert_eq!(there, !refused, "`{}` --{flag}: {verdict:?}", words.join(" "));
            }
            assert!(flags.is_sorted_by_key(|(flag, _)| *flag), "{words:?}");
        }
    }

    #[test]
    fn a_refused_flag_says_why_and_the_way() {
        let error = refused(&["container", "run"], "--kernel-memory").unwrap();
        assert_eq!(error.message, "`rcr run` has no `--kernel-memory`");
        assert!(error.hint.unwrap().contains("-m"));
        assert!(refused(&["run"], "--kernel-memry").is_none() && refused(&["run"], "--memory").is_none());
        assert!(refused(&["network", "create"], "--ingress").is_some() && refused(&["ps"], "--ingress").is_none());
    }
}
