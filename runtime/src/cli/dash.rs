//! `-network`, as pasted from blogs: clap would read it as `-n -e -t …`, so it is seen before.

use clap::Command;

/// The first argument that is a long flag with one dash, as (what was written, what was meant). Arguments after the image or
/// another operand belong to the container and are not looked at.
pub fn single_dash_flag(root: &Command, args: &[String]) -> Option<(String, String)> {
    let mut command = root;
    let mut in_leaf = false;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            return None;
        }
        if let Some(name) = arg.strip_prefix("--") {
            if !name.contains('=') && takes_value(command, |a| a.get_long() == Some(name)) {
                rest.next();
            }
        } else if let Some(letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            let name = letters.split('=').next().unwrap_or_default();
            if name.len() > 1 && has_long(command, name) {
                return Some((format!("-{name}"), format!("--{name}")));
            }
            // The last letter of a bundle may take the next argument as its value; one before it takes the rest.
            let mut chars = letters.chars();
            let valued = chars.position(|c| takes_value(command, |a| a.get_short() == Some(c)));
            if valued.is_some() && chars.next().is_none() {
                rest.next();
            }
        } else if let Some(sub) = command.find_subcommand(arg).filter(|_| !in_leaf) {
            command = sub;
            in_leaf = command.get_subcommands().next().is_none();
        } else {
            return None;
        }
    }
    None
}

fn has_long(command: &Command, name: &str) -> bool {
    command
        .get_arguments()
        .any(|arg| arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name)))
}

fn takes_value(command: &Command, is_it: impl Fn(&clap::Arg) -> bool) -> bool {
    command
        .get_arguments()
        .filter(|arg| is_it(arg))
        .any(|arg| arg.get_action().takes_values() && !arg.is_require_equals_set())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn meant(line: &str) -> Option<String> {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut command = crate::cli::Cli::command();
        command.build();
        single_dash_flag(&command, &args).map(|(_, meant)| meant)
    }

    #[test]
    fn a_long_flag_with_one_dash_is_seen_before_the_image_only() {
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
