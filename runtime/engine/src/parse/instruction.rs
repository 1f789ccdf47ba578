//! Instructions of a Dockerfile, for an image that is imported or made of a container.

use super::Parsed;
use super::ports::exposed;
use super::signal::signal;
use super::words::nearest;
use serde_json::{Map, Value, json};

const KNOWN: [&str; 10] =
    ["CMD", "ENTRYPOINT", "ENV", "EXPOSE", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"];

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// The command and its arguments.
    Cmd(Vec<String>),
    /// The program, before the command.
    Entrypoint(Vec<String>),
    /// `NAME=value`, one or more.
    Env(Vec<String>),
    /// `port/proto`, one or more.
    Expose(Vec<String>),
    /// Key and value, one or more.
    Label(Vec<(String, String)>),
    /// An instruction for images that are built on this one.
    Onbuild(String),
    /// The signal that stops it.
    StopSignal(String),
    /// `user[:group]`.
    User(String),
    /// Where volumes are mounted.
    Volume(Vec<String>),
    /// The working directory.
    Workdir(String),
}

/// `CMD …`, `ENTRYPOINT …`, `ENV k=v …`, `EXPOSE port …`, `LABEL k=v …` and so on.
pub fn instruction(text: &str) -> Parsed<Instruction> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let name = word.to_ascii_uppercase();
    if KNOWN.contains(&name.as_str()) && rest.is_empty() && name != "CMD" && name != "ENTRYPOINT" {
        return Err(format!("`{name}` says nothing"));
    }
    match name.as_str() {
        "CMD" => Ok(Instruction::Cmd(command_line(rest))),
        "ENTRYPOINT" => Ok(Instruction::Entrypoint(command_line(rest))),
        "ENV" => Ok(Instruction::Env(pairs(rest)?.into_iter().map(|(k, v)| format!("{k}={v}")).collect())),
        "EXPOSE" => rest.split_whitespace().map(expose).collect::<Parsed<_>>().map(Instruction::Expose),
        "LABEL" => pairs(rest).map(Instruction::Label),
        "ONBUILD" => Ok(Instruction::Onbuild(rest.to_owned())),
        "STOPSIGNAL" => signal(rest).map(|_| Instruction::StopSignal(rest.to_owned())),
        "USER" => Ok(Instruction::User(rest.to_owned())),
        "VOLUME" => Ok(Instruction::Volume(list(rest))),
        "WORKDIR" => Ok(Instruction::Workdir(rest.to_owned())),
        _ => Err(format!("unknown instruction `{word}`{}", nearest(word, &KNOWN))),
    }
}

fn expose(port: &str) -> Parsed<String> {
    let proto = exposed(port)?.proto;
    Ok(if port.contains('/') { port.to_owned() } else { format!("{port}/{proto}") })
}

/// A JSON list, or a line for the shell; nothing is an empty list.
fn command_line(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    serde_json::from_str(text).unwrap_or_else(|_| vec!["/bin/sh".into(), "-c".into(), text.into()])
}

/// A JSON list, or words.
fn list(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| text.split_whitespace().map(str::to_owned).collect())
}

/// `k=v k2="v 2"`, or Docker's old form `k v` for one.
fn pairs(text: &str) -> Parsed<Vec<(String, String)>> {
    let words = words(text)?;
    if !words.first().is_some_and(|word| word.contains('=')) {
        let (key, value) = text.split_once(char::is_whitespace).ok_or("expected name=value")?;
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{word}` is not of the form name=value")),
    };
    words.into_iter().map(pair).collect()
}

/// Words as a shell would cut them: quotes and backslashes keep white space.
fn words(text: &str) -> Parsed<Vec<String>> {
    let (mut all, mut word, mut begun, mut quote) = (Vec::new(), String::new(), false, None);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => word.extend(rest.next()),
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.push(c),
            ('"' | '\'', None) => quote = Some(c),
            (c, None) if c.is_whitespace() => {
                if begun {
                    all.push(std::mem::take(&mut word));
                }
                begun = false;
                continue;
            }
            (c, None) => word.push(c),
        }
        begun = true;
    }
    if quote.is_some() {
        return Err("a quote is not closed".into());
    }
    all.extend(begun.then_some(word));
    Ok(all)
}

/// Does what an instruction says to the `config` of an image's config (image-spec, config.md); a field that has another
/// form there begins anew.
pub fn apply(instruction: &Instruction, config: &mut Value) {
    match instruction {
        Instruction::Cmd(command) => config["Cmd"] = json!(command),
        // As in a Dockerfile, a new program does not get the old one's command.
        Instruction::Entrypoint(program) => config["Entrypoint"] = json!(program),
        Instruction::Env(all) => all.iter().for_each(|variable| set_variable(config, variable)),
        Instruction::Expose(ports) => ports.iter().for_each(|port| add(config, "ExposedPorts", port, json!({}))),
        Instruction::Label(all) => all.iter().for_each(|(key, value)| add(config, "Labels", key, json!(value))),
        Instruction::Onbuild(line) => {
            let mut all = config["OnBuild"].as_array().cloned().unwrap_or_default();
            all.push(json!(line));
            config["OnBuild"] = Value::Array(all);
        }
        Instruction::StopSignal(name) => config["StopSignal"] = json!(name),
        Instruction::User(name) => config["User"] = json!(name),
        Instruction::Volume(paths) => paths.iter().for_each(|path| add(config, "Volumes", path, json!({}))),
        Instruction::Workdir(path) => config["WorkingDir"] = json!(path),
    }
}

fn add(config: &mut Value, field: &str, key: &str, value: Value) {
    let mut map: Map<String, Value> = config[field].as_object().cloned().unwrap_or_default();
    map.insert(key.to_owned(), value);
    config[field] = Value::Object(map);
}

fn set_variable(config: &mut Value, variable: &str) {
    let name = variable.split('=').next().unwrap_or_default();
    let mut all = config["Env"].as_array().cloned().unwrap_or_default();
    let same = |old: &Value| old.as_str().is_some_and(|old| old.split('=').next() == Some(name));
    all.retain(|old| !same(old));
    all.push(json!(variable));
    config["Env"] = Value::Array(all);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_become_an_images_config() {
        let mut config = json!({ "Env": ["A=old", "B=1"], "Cmd": ["sh"] });
        for text in [
            "cmd [\"a\", \"b\"]",
            "ENTRYPOINT x y",
            "ENV A=b C=\"d e\"",
            "ENV F g h",
            "EXPOSE 80 53/udp",
            "LABEL a=b c='d e'",
            "ONBUILD RUN x",
            "STOPSIGNAL QUIT",
            "USER web",
            "VOLUME [\"/data\"]",
            "VOLUME /x /y",
            "WORKDIR /srv",
        ] {
            apply(&instruction(text).unwrap(), &mut config);
        }
        let want = json!({
            "Cmd": ["a", "b"], "Entrypoint": ["/bin/sh", "-c", "x y"], "Env": ["B=1", "A=b", "C=d e", "F=g h"],
            "ExposedPorts": { "80/tcp": {}, "53/udp": {} }, "Labels": { "a": "b", "c": "d e" }, "OnBuild": ["RUN x"],
            "StopSignal": "QUIT", "User": "web", "Volumes": { "/data": {}, "/x": {}, "/y": {} }, "WorkingDir": "/srv",
        });
        assert_eq!(config, want);
        assert!(instruction("COMD x").unwrap_err().contains("did you mean `CMD`"));
        for bad in ["EXPOSE 0", "ENV", "LABEL a", "ENV A=\"b", "STOPSIGNAL NOW", "LABEL a=b =c"] {
            assert!(instruction(bad).is_err(), "{bad}");
        }
    }
}
