//! Every command line of `rcr` in the documents is one: its verbs and flags exist, and its values can be read.

use super::docker_words::WORDS;
use super::{Cli, argv};
use clap::CommandFactory;
use clap::error::ErrorKind;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The command lines in a page: those after a prompt, and those in backticks.
fn command_lines(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    let joined = page.replace("\\\n", " ");
    let mut prose = String::new();
    let mut lines = joined.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if !fenced {
            prose.push_str(line);
            prose.push(' ');
            continue;
        }
        let line = line.trim_start_matches(['#', '$', ' ']).trim_start_matches("sudo ");
        // What is shown as refused is no recommendation.
        let refused = lines.peek().is_some_and(|next| next.starts_with("error: "));
        found.extend((line.starts_with("rcr ") && !refused).then(|| line.to_owned()));
    }
    let spans = prose.split('`').skip(1).step_by(2);
    found.extend(spans.filter(|span| span.starts_with("rcr ")).map(str::to_owned));
    found
}

/// The words of a line, if a reader could type it as it is: no part is left out, and no shell has to make it first.
fn words(line: &str) -> Option<Vec<String>> {
    let line = line.split(" # ").next()?;
    let shell = ["…", "...", "$(", "|", ";", "&&", "<", ">", "[", "{{", "\"$"];
    // `rcr VERB` stands for all of them.
    let plain = !line.starts_with("rcr VERB") && !shell.iter().any(|part| line.contains(part));
    let mut all: Vec<String> = Vec::new();
    let (mut word, mut quote, mut any) = (String::new(), None, false);
    for c in line.chars() {
        match quote {
            Some(mark) if c == mark => quote = None,
            Some(_) => word.push(c),
            None if c == '\'' || c == '"' => (quote, any) = (Some(c), true),
            None if c.is_whitespace() => {
                all.extend((any || !word.is_empty()).then(|| std::mem::take(&mut word)));
                any = false;
            }
            None => word.push(c),
        }
    }
    all.extend((any || !word.is_empty()).then_some(word));
    plain.then_some(all)
}

/// Why a command line is none, whatever stands for what the reader has to choose: `NAME`.
fn wrong(words: &[String]) -> Option<String> {
    let is_chosen = |word: &str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let chosen: Vec<String> =
        words.iter().map(|word| if is_chosen(word) { word.to_lowercase() } else { word.clone() }).collect();
    refused(words).and_then(|_| refused(&chosen))
}

fn refused(words: &[String]) -> Option<String> {
    let mut command = Cli::command();
    let args: Vec<OsString> = words[1..].iter().map(Into::into).collect();
    let args = match argv::normalize(&command, &args) {
        Ok(args) => args,
        Err(why) => return Some(format!("{why:?}")),
    };
    let error = command.try_get_matches_from_mut(std::iter::once("rcr".into()).chain(args)).err()?;
    let is_docker = words.get(1).is_some_and(|verb| WORDS.iter().any(|(word, ..)| word == verb));
    match error.kind() {
        ErrorKind::InvalidSubcommand if is_docker => None,
        // In prose a verb stands without its objects.
        ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => None,
        // A verb's flag in prose, without its value.
        ErrorKind::InvalidValue if error.to_string().contains("a value is required") => None,
        _ => Some(error.to_string()),
    }
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let docs = std::fs::read_dir(root.join("docs")).expect("docs").flatten().map(|entry| entry.path());
    let pages = docs.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let own = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root.join(name));
    pages.chain(own).collect()
}

#[test]
fn the_documents_name_no_command_line_that_is_none() {
    let (mut seen, mut bad) = (0, Vec::new());
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        for words in command_lines(&text).iter().filter_map(|line| words(line)) {
            seen += 1;
            bad.extend(wrong(&words).map(|why| format!("{}: `{}`: {why}", page.display(), words.join(" "))));
        }
    }
    assert!(seen > 100, "{seen} command lines were found");
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Talks to registries, whose answers differ.
const ELSEWHERE: [&str; 5] = ["pull", "push", "login", "logout", "help"];

#[test]
fn every_verb_is_shown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let page = std::fs::read_to_string(root.join("docs/verbs.md")).expect("docs/verbs.md");
    let command = Cli::command();
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name);
    let shown = |verb: &str| page.contains(&format!("rcr {verb} ")) || page.contains(&format!("rcr {verb}\n"));
    let missing: Vec<&str> = verbs.filter(|verb| !shown(verb) && !ELSEWHERE.contains(verb)).collect();
    assert!(missing.is_empty(), "docs/verbs.md lacks {missing:?}");
}

#[test]
fn lines_that_are_none_are_found() {
    let line = |text: &str| wrong(&words(text).expect("plain"));
    assert!(line("rcr run --rm alpine true").is_none() && line("rcr swarm init").is_none());
    assert!(line("rcr run --remove alpine").is_some() && line("rcr rum alpine").is_some());
    assert!(line("rcr run --memory lots alpine").is_some());
    assert_eq!(command_lines("a `rcr ps -a` b\n```\n# rcr rm x \\\n  y\n```\n"), ["rcr rm x    y", "rcr ps -a"]);
}
