//! docs/from-docker.md out of the two tables. `UPDATE_GOLDENS=1 cargo nextest run -p rcr -E 'test(from_docker::)'`
//! writes it anew.

use super::docker_flags::{VERBS, Verdict};
use super::docker_words::WORDS;
use std::fmt::Write as _;
use std::path::PathBuf;

const HEAD: &str = "# From Docker to rcr

Scripts written for Docker run with the word changed. Here is what Docker 28's command line has and rcr has not, each
with its reason and our way to the same end; rcr says the same where such a word is typed. How rcr behaves otherwise
than Docker is in [differences.md](differences.md). This page is made from the tables in
`runtime/src/cli/docker_words.rs` and `docker_flags.rs`.

## Verbs
All verbs work but these:

| verb | why not | our way |
|---|---|---|
";

fn page() -> String {
    let mut text = HEAD.to_owned();
    for (verb, why, way) in WORDS {
        let _ = writeln!(text, "| `{verb}` | {} | {} |", cell(why), cell(way));
    }
    let flags = |at: usize| VERBS[at].flags.iter();
    // `create` has what `run` has, but for these three.
    let mut run: Vec<_> = flags(0).chain(flags(1)).copied().collect();
    run.sort_unstable_by_key(|(flag, _)| *flag);
    section(&mut text, "`run` and `create`", &run);
    section(&mut text, "`exec`", VERBS[3].flags);
    section(&mut text, "`network create`", VERBS[4].flags);
    section(&mut text, "`build`", VERBS[5].flags);
    text
}

fn section(text: &mut String, title: &str, flags: &[(&str, Verdict)]) {
    let names = |wanted: fn(&Verdict) -> bool| {
        let all = flags.iter().filter(move |(_, verdict)| wanted(verdict));
        all.map(|(flag, _)| format!("`--{flag}`")).collect::<Vec<_>>()
    };
    let works = names(|verdict| !matches!(verdict, Verdict::Refused(..)));
    let _ = writeln!(text, "\n## Flags of {title}\n{} of Docker's {} work:", works.len(), flags.len());
    wrap(text, &works);
    let _ = writeln!(text, "\n| flag | verdict | |\n|---|---|---|");
    for (flag, verdict) in flags {
        let _ = match verdict {
            Verdict::Works => Ok(()),
            Verdict::Note(note) => writeln!(text, "| `--{flag}` | works | {} |", cell(note)),
            Verdict::Refused(why, way) => writeln!(text, "| `--{flag}` | refused: {} | {} |", cell(why), cell(way)),
        };
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Lines of at most 120 columns.
fn wrap(text: &mut String, words: &[String]) {
    let mut line = String::new();
    for word in words {
        if line.len() + word.len() > 118 {
            let _ = writeln!(text, "{}", line.trim_end());
            line.clear();
        }
        let _ = write!(line, "{word} ");
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

#[test]
fn the_page_says_what_the_tables_say() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/from-docker.md");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written,
        page(),
        "`UPDATE_GOLDENS=1 cargo nextest run -p rcr -E 'test(from_docker::)'` if this is meant"
    );
}
