//! The command line as people type it, brought into the form that the grammar reads. It knows which flags take values
//! from the grammar itself, and nothing else.
//!
//! - The first word that is no flag ends our flags on `run`, `create` and `exec`: all behind the image is the
//!   command's, whatever it looks like. `rcr run debian --privileged` must not open the host because a command had a
//!   flag by that name.
//! - Every switch can be said as `--switch=true` or `--switch=false`, as with Docker.
//! - `-network`, as pasted from blogs, would be read as `-n -e -t …`; it is refused with what was meant.

use clap::{ArgAction, Command};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Verbs whose first operand ends our flags.
const HAND_OVER: [&str; 4] = ["run", "create", "exec", "top"];
/// Groups below which these verbs are the same.
const GROUPS: [&str; 1] = ["container"];

/// Why a command line is refused before it is parsed.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// A long flag with one dash: what was written, what was meant.
    OneDash(String, String),
    /// `--switch=maybe`.
    NotABoolean(String, String),
}

/// Brings the arguments (without the program's name) into the grammar's form. The grammar need not be built yet: all
/// of it takes clap a millisecond, and parsing builds the part that it needs. So does this.
pub fn normalize(root: &Command, args: &[OsString]) -> Result<Vec<OsString>, Refused> {
    let mut walk = Walk { root, verb: None, path: Vec::new(), done: Vec::new() };
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let bytes = arg.as_bytes();
        if bytes == b"--" {
            walk.done.push(arg.clone());
            break;
        }
        if bytes.starts_with(b"--") {
            if walk.long(arg)? {
                walk.done.extend(rest.next().cloned());
            }
        } else if bytes.len() > 1 && bytes[0] == b'-' {
            if walk.short(arg)? {
                walk.done.extend(rest.next().cloned());
            }
        } else if walk.operand(arg) {
            break;
        }
    }
    walk.done.extend(rest.cloned());
    Ok(walk.done)
}

struct Walk<'a> {
    root: &'a Command,
    /// The last verb, with what was deferred until it is used.
    verb: Option<Command>,
    /// The verbs so far.
    path: Vec<String>,
    done: Vec<OsString>,
}

impl Walk<'_> {
    /// `--name` or `--name=value`. True: the next argument is its value.
    fn long(&mut self, arg: &OsStr) -> Result<bool, Refused> {
        let text = arg.to_string_lossy();
        let name = text.trim_start_matches('-');
        let Some((name, value)) = name.split_once('=') else {
            let valued = self.find(|a| is_called(a, name)).is_some_and(takes_next);
            self.done.push(arg.to_owned());
            return Ok(valued);
        };
        let switch = self.find(|a| is_called(a, name)).filter(|a| is_switch(a));
        match switch {
            Some(switch) => {
                let (long, short) = (format!("--{name}"), switch.get_short());
                self.set(&long, short, value)?;
            }
            None => self.done.push(arg.to_owned()),
        }
        Ok(false)
    }

    /// `-x`, `-xyz`, `-xVALUE`, `-x=true`. True: the next argument is the last letter's value.
    fn short(&mut self, arg: &OsStr) -> Result<bool, Refused> {
        let text = arg.to_string_lossy();
        let letters = &text[1..];
        let (name, value) = letters.split_once('=').map_or((letters, None), |(name, value)| (name, Some(value)));
        if name.len() > 1 && self.find(|a| is_called(a, name)).is_some() {
            return Err(Refused::OneDash(format!("-{name}"), format!("--{name}")));
        }
        // One letter that takes a value takes the rest of the word, or the next one.
        let valued =
            name.char_indices().find(|(_, c)| self.find(|a| a.get_short() == Some(*c)).is_some_and(takes_next));
        if let Some((at, letter)) = valued {
            self.done.push(arg.to_owned());
            return Ok(at + letter.len_utf8() == letters.len());
        }
        let all_switches = name.chars().all(|c| self.find(|a| a.get_short() == Some(c)).is_some_and(is_switch));
        match value.filter(|_| all_switches && !name.is_empty()) {
            // As with Docker, the value is the last letter's.
            Some(value) => {
                let (before, last) = name.split_at(name.len() - name.chars().last().map_or(0, char::len_utf8));
                if !before.is_empty() {
                    self.done.push(format!("-{before}").into());
                }
                self.set(&format!("-{last}"), last.chars().next(), value)?;
            }
            None => self.done.push(arg.to_owned()),
        }
        Ok(false)
    }

    /// A switch with a value. If it is given twice, the last one counts.
    fn set(&mut self, flag: &str, short: Option<char>, value: &str) -> Result<(), Refused> {
        let on = boolean(value).ok_or_else(|| Refused::NotABoolean(flag.to_owned(), value.to_owned()))?;
        let short = short.map(|c| format!("-{c}"));
        let long = self.find(|a| is_called(a, flag.trim_start_matches('-')) || same_short(a, flag));
        let long = long.and_then(|a| a.get_long()).map(|name| format!("--{name}"));
        let same = |arg: &OsString| [short.as_deref(), long.as_deref(), Some(flag)].contains(&arg.to_str());
        self.done.retain(|arg| !same(arg));
        if on {
            self.done.push(flag.into());
        }
        Ok(())
    }

    /// A word that is not a flag. True: what follows does not belong to us.
    fn operand(&mut self, arg: &OsStr) -> bool {
        let before = self.verb.as_ref().unwrap_or(self.root);
        if let Some(verb) = arg.to_str().and_then(|name| before.find_subcommand(name)) {
            let mut verb = verb.clone();
            // This builds the one verb; `build` would build all that are below it, too.
            let _ = verb.render_usage();
            self.path.push(verb.get_name().to_owned());
            self.verb = Some(verb);
            self.done.push(arg.to_owned());
            return false;
        }
        let verb = match self.path.as_slice() {
            [verb] => Some(verb),
            [group, verb] if GROUPS.contains(&group.as_str()) => Some(verb),
            _ => None,
        };
        if verb.is_some_and(|verb| HAND_OVER.contains(&verb.as_str())) {
            self.done.push("--".into());
            self.done.push(arg.to_owned());
            return true;
        }
        self.done.push(arg.to_owned());
        false
    }

    fn find(&self, is_it: impl Fn(&clap::Arg) -> bool) -> Option<&clap::Arg> {
        let everywhere = self.root.get_arguments().filter(|arg| arg.is_global_set());
        self.verb.as_ref().unwrap_or(self.root).get_arguments().chain(everywhere).find(|arg| is_it(arg))
    }
}

fn is_called(arg: &clap::Arg, name: &str) -> bool {
    arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
}

fn same_short(arg: &clap::Arg, flag: &str) -> bool {
    arg.get_short().is_some_and(|c| flag == format!("-{c}"))
}

fn takes_next(arg: &clap::Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set()
}

fn is_switch(arg: &clap::Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// What Docker takes for a boolean (Go's strconv.ParseBool).
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn normal(line: &str) -> Result<String, Refused> {
        let args: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let done = normalize(&crate::cli::Cli::command(), &args)?;
        Ok(done.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" "))
    }

    fn same(line: &str) {
        assert_eq!(normal(line).as_deref(), Ok(line));
    }

    #[test]
    fn the_first_operand_ends_our_flags() {
        for (typed, want) in [
            ("run alpine ls", "run -- alpine ls"),
            (
                "run --entrypoint sh debian --privileged -v /:/host -c id",
                "run --entrypoint sh -- debian --privileged -v /:/host -c id",
            ),
            ("run -d -p 80:80 memcached -m 64", "run -d -p 80:80 -- memcached -m 64"),
            ("container exec -it C -u 1000 id", "container exec -it -- C -u 1000 id"),
            ("create -eA=b --name x alpine -- ls", "create -eA=b --name x -- alpine -- ls"),
            ("--root /x run --sig-proxy alpine --help", "--root /x run --sig-proxy -- alpine --help"),
            ("run -itv /a:/b alpine --rm", "run -itv /a:/b -- alpine --rm"),
        ] {
            assert_eq!(normal(typed).as_deref(), Ok(want));
        }
        same("run -- alpine --rm");
        same("stop c1 -t 3");
        same("network create x -d bridge");
    }

    #[test]
    fn switches_take_booleans() {
        assert_eq!(normal("run --rm=true alpine").as_deref(), Ok("run --rm -- alpine"));
        assert_eq!(normal("run --rm=false alpine").as_deref(), Ok("run -- alpine"));
        assert_eq!(normal("run --rm --rm=0 -d=f alpine").as_deref(), Ok("run -- alpine"));
        assert_eq!(normal("run -d=true -it=false alpine").as_deref(), Ok("run -d -i -- alpine"));
        assert_eq!(normal("run -d --detach=false alpine").as_deref(), Ok("run -- alpine"));
        assert_eq!(normal("ps --all=true").as_deref(), Ok("ps --all"));
        same("ps --format=json");
        assert_eq!(normal("run --rm=maybe alpine"), Err(Refused::NotABoolean("--rm".into(), "maybe".into())));
        // Behind the image nothing is ours.
        assert_eq!(normal("run alpine --rm=false").as_deref(), Ok("run -- alpine --rm=false"));
    }

    #[test]
    fn a_long_flag_with_one_dash_is_seen_before_the_image_only() {
        let meant = |line: &str| match normal(line) {
            Err(Refused::OneDash(_, meant)) => Some(meant),
            _ => None,
        };
        assert_eq!(meant("run -network eui_bridge alpine sh"), Some("--network".into()));
        assert_eq!(meant("run -it -detach alpine"), Some("--detach".into()));
        assert_eq!(meant("container run --name c1 -publish=80:80 alpine"), Some("--publish".into()));
        assert_eq!(meant("run alpine find / -name x"), None);
        assert_eq!(meant("run --name -network alpine"), None);
        assert_eq!(meant("run -e -network alpine"), None);
        assert_eq!(meant("run -it --rm alpine ls -user"), None);
        assert_eq!(meant("run -v /a:/b -itd alpine"), None);
    }
}
