//! A seccomp profile of the user's, in Docker's form or OCI's (runtime-spec, config-linux.md, "Seccomp"), as a filter.

use super::program::{Answer, Compare, Rule, Table, Test, Verdict, compile};
use super::{AUDIT_ARCH_I386, native_arch};
use crate::bundle::BundleError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Instructions of a filter (BPF_MAXINSNS).
const LONGEST: usize = 4096;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<ArchMap>>,
    syscalls: Option<Vec<Calls>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Calls {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    args: Option<Vec<Argument>>,
    includes: Option<Condition>,
    excludes: Option<Condition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// When an entry holds. A kernel's version (`minKernel`) is taken for given: a call that it lacks is ENOSYS anyway.
#[derive(Default, Deserialize)]
struct Condition {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
}

/// The filter of a profile for a container with these capabilities (`CAP_…`).
pub fn filter(text: &str, capabilities: &[String]) -> Result<Vec<u64>, BundleError> {
    let invalid = |why: String| BundleError::Invalid(format!("the seccomp profile can't be used: {why}"));
    let profile: Profile = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let otherwise = answer(&profile.default_action, profile.default_errno_ret).map_err(invalid)?;
    let entries: Vec<&Calls> = profile.syscalls.iter().flatten().filter(|entry| holds(entry, capabilities)).collect();
    let native = |name: &str| syscalls::Sysno::from_str(name).ok().map(|call| call.id() as u32);
    let mut tables =
        vec![Table { arch: native_arch()?, verdicts: verdicts(&entries, otherwise, native).map_err(invalid)? }];
    if names(&profile, "SCMP_ARCH_X86") && cfg!(target_arch = "x86_64") {
        let compat = |name: &str| syscalls::x86::Sysno::from_str(name).ok().map(|call| call.id() as u32);
        tables.push(Table { arch: AUDIT_ARCH_I386, verdicts: verdicts(&entries, otherwise, compat).map_err(invalid)? });
    }
    let code = compile(&tables, otherwise);
    match code.len() <= LONGEST {
        true => Ok(code),
        false => Err(invalid(format!("its filter has {} instructions, the kernel takes {LONGEST}", code.len()))),
    }
}

/// Whether the profile is about this architecture beside this machine's own.
fn names(profile: &Profile, arch: &str) -> bool {
    let own = match std::env::consts::ARCH {
        "x86_64" => "SCMP_ARCH_X86_64",
        other => other,
    };
    let listed = profile.architectures.iter().flatten().any(|name| name == arch);
    let mapped = profile.arch_map.iter().flatten().filter(|map| map.architecture == own);
    listed || mapped.flat_map(|map| map.sub_architectures.iter().flatten()).any(|name| name == arch)
}

/// As Docker has it: all that it includes is there, and nothing of what it excludes.
fn holds(entry: &Calls, capabilities: &[String]) -> bool {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let none = Condition::default();
    let (needs, never) = (entry.includes.as_ref().unwrap_or(&none), entry.excludes.as_ref().unwrap_or(&none));
    let mut caps = needs.caps.iter().flatten();
    let here = needs.arches.iter().flatten().next().is_none() || needs.arches.iter().flatten().any(|name| name == arch);
    caps.all(|cap| capabilities.contains(cap))
        && here
        && !never.caps.iter().flatten().any(|cap| capabilities.contains(cap))
        && !never.arches.iter().flatten().any(|name| name == arch)
}

/// Calls that this machine does not know are left out, as with Docker.
fn verdicts(
    entries: &[&Calls],
    otherwise: Answer,
    number: impl Fn(&str) -> Option<u32>,
) -> Result<BTreeMap<u32, Verdict>, String> {
    let mut all: BTreeMap<u32, (Vec<Rule>, Option<Answer>)> = BTreeMap::new();
    for entry in entries {
        let then = answer(&entry.action, entry.errno_ret)?;
        let rules = rules(entry.args.as_deref().unwrap_or_default(), then)?;
        for name in entry.names.iter().flatten().chain(&entry.name) {
            let Some(number) = number(name) else { continue };
            let (known, always) = all.entry(number).or_default();
            match rules.is_empty() {
                true => drop(always.get_or_insert(then)),
                false => known.extend(rules.iter().cloned()),
            }
        }
    }
    let verdict = |(rules, always): (Vec<Rule>, Option<Answer>)| Verdict::By(rules, always.unwrap_or(otherwise));
    Ok(all.into_iter().map(|(number, found)| (number, verdict(found))).collect())
}

/// All conditions must hold; but where two are about one argument, each is a rule of its own, as runtimes have it.
fn rules(arguments: &[Argument], then: Answer) -> Result<Vec<Rule>, String> {
    let tests = arguments.iter().map(test).collect::<Result<Vec<_>, _>>()?;
    let mut seen: Vec<u8> = tests.iter().map(|(index, _)| *index).collect();
    seen.sort_unstable();
    let twice = seen.windows(2).any(|pair| pair[0] == pair[1]);
    Ok(match (tests.is_empty(), twice) {
        (true, _) => Vec::new(),
        (false, false) => vec![Rule { tests, then }],
        (false, true) => tests.into_iter().map(|test| Rule { tests: vec![test], then }).collect(),
    })
}

fn test(argument: &Argument) -> Result<(u8, Test), String> {
    if argument.index > 5 {
        return Err(format!("a call has no argument {}", argument.index));
    }
    let whole = |compare| Test::Whole(compare, argument.value);
    let test = match argument.op.as_str() {
        "SCMP_CMP_EQ" => whole(Compare::Equal),
        "SCMP_CMP_NE" => whole(Compare::NotEqual),
        "SCMP_CMP_LT" => whole(Compare::Less),
        "SCMP_CMP_LE" => whole(Compare::LessOrEqual),
        "SCMP_CMP_GT" => whole(Compare::Greater),
        "SCMP_CMP_GE" => whole(Compare::GreaterOrEqual),
        "SCMP_CMP_MASKED_EQ" => Test::Masked { mask: argument.value, value: argument.value_two },
        other => return Err(format!("unknown comparison `{other}`")),
    };
    Ok((argument.index, test))
}

fn answer(action: &str, errno: Option<u32>) -> Result<Answer, String> {
    let number = |default: i32| {
        let given = errno.map_or(Ok(default), i32::try_from).ok().filter(|errno| (0..=4095).contains(errno));
        given.ok_or_else(|| format!("{} is no errno", errno.unwrap_or_default()))
    };
    match action {
        "SCMP_ACT_ALLOW" => Ok(Answer::Allow),
        "SCMP_ACT_ERRNO" => number(libc::EPERM).map(Answer::Errno),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Ok(Answer::KillThread),
        "SCMP_ACT_KILL_PROCESS" => Ok(Answer::KillProcess),
        "SCMP_ACT_TRAP" => Ok(Answer::Trap),
        "SCMP_ACT_LOG" => Ok(Answer::Log),
        "SCMP_ACT_TRACE" => number(libc::EPERM).map(|number| Answer::Trace(number as u16)),
        "SCMP_ACT_NOTIFY" => Err("SCMP_ACT_NOTIFY needs a program that answers, which rcr does not start".into()),
        other => Err(format!("unknown action `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_read_and_bad_ones_refused() {
        let some = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"syscalls":[
            {"names":["mkdir","mkdirat","no_such_call"],"action":"SCMP_ACT_ERRNO","errnoRet":38,"args":null},
            {"name":"socket","action":"SCMP_ACT_KILL","args":[{"index":0,"value":16,"op":"SCMP_CMP_EQ"}],
             "includes":{"caps":["CAP_SYS_ADMIN"]},"excludes":{}}]}"#;
        let with = filter(some, &["CAP_SYS_ADMIN".into()]).unwrap();
        assert!(with.len() > filter(some, &[]).unwrap().len());
        for (bad, why) in [
            ("[]", "the seccomp profile"),
            (r#"{"defaultAction":"SCMP_ACT_MAYBE"}"#, "unknown action `SCMP_ACT_MAYBE`"),
            (r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#, "a program that answers"),
            (r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":70000}"#, "70000 is no errno"),
        ] {
            let said = filter(bad, &[]).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
    }
}
