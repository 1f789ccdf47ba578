//! Instructions of a Dockerfile, for an image that is imported.

use super::Parsed;
use super::ports::exposed;
use super::words::nearest;
use rcr_images::ImportOptions;

const KNOWN: [&str; 6] = ["CMD", "ENTRYPOINT", "ENV", "EXPOSE", "USER", "WORKDIR"];

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// The command and its arguments.
    Cmd(Vec<String>),
    /// The program, before the command.
    Entrypoint(Vec<String>),
    /// `NAME=value`.
    Env(String),
    /// `port/proto`, one or more.
    Expose(Vec<String>),
    /// `user[:group]`.
    User(String),
    /// The working directory.
    Workdir(String),
}

/// `CMD …`, `ENTRYPOINT …`, `ENV k=v`, `EXPOSE port…`, `USER name`, `WORKDIR dir`.
pub fn instruction(text: &str) -> Parsed<Instruction> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    match word.to_ascii_uppercase().as_str() {
        "CMD" => Ok(Instruction::Cmd(command_line(rest))),
        "ENTRYPOINT" => Ok(Instruction::Entrypoint(command_line(rest))),
        "ENV" => Ok(Instruction::Env(rest.to_owned())),
        "WORKDIR" => Ok(Instruction::Workdir(rest.to_owned())),
        "USER" => Ok(Instruction::User(rest.to_owned())),
        "EXPOSE" => rest.split_whitespace().map(expose).collect::<Parsed<_>>().map(Instruction::Expose),
        _ => Err(format!("unknown instruction `{word}`{}", nearest(word, &KNOWN))),
    }
}

fn expose(port: &str) -> Parsed<String> {
    let proto = exposed(port)?.proto;
    Ok(if port.contains('/') { port.to_owned() } else { format!("{port}/{proto}") })
}

/// A JSON list, or a line for the shell.
fn command_line(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| vec!["/bin/sh".into(), "-c".into(), text.into()])
}

/// What the instructions say together; of two about the same thing the later one counts.
pub fn import_options(instructions: Vec<Instruction>, message: String) -> ImportOptions {
    let mut all = ImportOptions { message, ..ImportOptions::default() };
    for instruction in instructions {
        match instruction {
            Instruction::Cmd(command) => all.cmd = Some(command),
            Instruction::Entrypoint(program) => all.entrypoint = Some(program),
            Instruction::Env(variable) => all.env.push(variable),
            Instruction::Expose(ports) => all.exposed.extend(ports),
            Instruction::User(user) => all.user = Some(user),
            Instruction::Workdir(folder) => all.workdir = Some(folder),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_become_an_images_config() {
        let texts = ["cmd [\"a\", \"b\"]", "ENTRYPOINT x y", "ENV A=b", "EXPOSE 80 53/udp", "USER web", "WORKDIR /srv"];
        let all = texts.iter().map(|text| instruction(text)).collect::<Parsed<Vec<_>>>().unwrap();
        let all = import_options(all, "m".into());
        assert_eq!(all.cmd.unwrap(), ["a", "b"]);
        assert_eq!(all.entrypoint.unwrap(), ["/bin/sh", "-c", "x y"]);
        assert_eq!((all.env, all.exposed), (vec!["A=b".to_owned()], vec!["80/tcp".to_owned(), "53/udp".to_owned()]));
        assert_eq!((all.user.as_deref(), all.workdir.as_deref()), (Some("web"), Some("/srv")));
        assert!(instruction("COMD x").unwrap_err().contains("did you mean `CMD`"));
        assert!(instruction("EXPOSE 0").is_err());
    }
}
