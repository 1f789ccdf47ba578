//! Which images a Dockerfile begins with. Only what names an image is read; all else is for the program that builds.

use std::collections::BTreeMap;

/// An image that a build needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Base {
    /// As the Dockerfile has it, with its variables replaced.
    pub name: String,
    /// `--platform` of its FROM.
    pub platform: Option<String>,
}

/// A FROM, and what follows it.
#[derive(Debug, Default)]
struct Stage {
    /// Lower case.
    name: Option<String>,
    base: String,
    platform: Option<String>,
    /// `COPY --from=…`, `RUN --mount=from=…`.
    uses: Vec<String>,
}

/// The images that `target` (absent: the last stage) needs, each once. `args`: what `--build-arg` says, and what is
/// known of the platform.
pub fn bases(text: &str, args: &BTreeMap<String, String>, target: Option<&str>) -> Vec<Base> {
    let stages = stages(text, args);
    let find = |name: &str, before: usize| {
        let numbered = name.parse::<usize>().ok().filter(|number| *number < before);
        let lower = name.to_lowercase();
        numbered.or_else(|| stages[..before].iter().rposition(|stage| stage.name.as_ref() == Some(&lower)))
    };
    let last = stages.len().checked_sub(1);
    let mut todo: Vec<usize> = target.and_then(|name| find(name, stages.len())).or(last).into_iter().collect();
    let (mut seen, mut found) = (vec![false; stages.len()], Vec::new());
    while let Some(at) = todo.pop() {
        if std::mem::replace(&mut seen[at], true) {
            continue;
        }
        let stage = &stages[at];
        let base = std::iter::once((&stage.base, stage.platform.clone()));
        for (name, platform) in base.chain(stage.uses.iter().map(|name| (name, None))) {
            match find(name, at) {
                Some(other) => todo.push(other),
                None if name.is_empty() || name == "scratch" => {}
                None => found.push(Base { name: name.clone(), platform }),
            }
        }
    }
    found.sort();
    found.dedup_by(|a, b| a.name == b.name);
    found
}

fn stages(text: &str, args: &BTreeMap<String, String>) -> Vec<Stage> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    // What an ARG does not name has no value, but for the platform's.
    let platform = args.iter().filter(|(name, _)| name.ends_with("PLATFORM") || name.ends_with("ARCH"));
    known.extend(platform.map(|(name, value)| (name.clone(), value.clone())));
    let mut all: Vec<Stage> = Vec::new();
    for line in instructions(text) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        match (word.to_ascii_uppercase().as_str(), all.last_mut()) {
            ("FROM", _) => all.extend(from(rest, &known)),
            ("ARG", None) => rest.split_whitespace().for_each(|one| {
                let (name, default) = one.split_once('=').unwrap_or((one, ""));
                let value = args.get(name).cloned().unwrap_or_else(|| expand(unquoted(default), &known));
                known.insert(name.to_owned(), value);
            }),
            ("COPY" | "ADD", Some(stage)) => {
                stage.uses.extend(flags(rest).filter_map(|flag| Some(flag.strip_prefix("--from=")?.to_owned())));
            }
            ("RUN", Some(stage)) => {
                let mounts = flags(rest).filter_map(|flag| flag.strip_prefix("--mount="));
                stage
                    .uses
                    .extend(mounts.filter_map(|m| m.split(',').find_map(|f| f.strip_prefix("from="))).map(Into::into));
            }
            _ => {}
        }
    }
    all
}

fn from(rest: &str, known: &BTreeMap<String, String>) -> Option<Stage> {
    let mut words = rest.split_whitespace().peekable();
    let mut stage = Stage::default();
    while let Some(flag) = words.next_if(|word| word.starts_with("--")) {
        if let Some(platform) = flag.strip_prefix("--platform=") {
            stage.platform = Some(expand(platform, known)).filter(|text| !text.is_empty());
        }
    }
    stage.base = expand(unquoted(words.next()?), known);
    if words.next().is_some_and(|word| word.eq_ignore_ascii_case("as")) {
        stage.name = words.next().map(str::to_lowercase);
    }
    Some(stage)
}

fn flags(rest: &str) -> impl Iterator<Item = &str> {
    rest.split_whitespace().take_while(|word| word.starts_with("--"))
}

fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// The instructions, each on one line: without comments, continued lines joined, the text of here-documents left out.
fn instructions(text: &str) -> Vec<String> {
    let escape = escape(text);
    let (mut all, mut current) = (Vec::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        if let Some(part) = line.strip_suffix(escape) {
            current.push_str(part);
            current.push(' ');
            continue;
        }
        current.push_str(line);
        let whole = std::mem::take(&mut current);
        for end in here_documents(&whole) {
            let _ = lines.by_ref().find(|line| line.trim_start_matches('\t') == end);
        }
        all.push(whole);
    }
    all.extend(Some(current).filter(|rest| !rest.is_empty()));
    all
}

/// `# escape=` among the directives at the beginning.
fn escape(text: &str) -> char {
    let directives =
        text.lines().map_while(|line| line.trim().strip_prefix('#')).filter_map(|line| line.split_once('='));
    let mut named = directives.filter(|(name, _)| name.trim().eq_ignore_ascii_case("escape"));
    named.next().and_then(|(_, value)| value.trim().chars().next()).filter(|c| *c == '`').unwrap_or('\\')
}

/// The words that end the here-documents of an instruction.
fn here_documents(line: &str) -> Vec<String> {
    let word = line.split(char::is_whitespace).next().unwrap_or_default();
    if !["RUN", "COPY", "ADD"].iter().any(|known| word.eq_ignore_ascii_case(known)) {
        return Vec::new();
    }
    let names = line.split("<<").skip(1).filter_map(|rest| {
        let rest = rest.strip_prefix('-').unwrap_or(rest);
        let rest = rest.trim_start_matches(['"', '\'']);
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        Some(name).filter(|name| name.starts_with(|c: char| c.is_alphabetic() || c == '_'))
    });
    names.collect()
}

/// `$NAME`, `${NAME}`, `${NAME:-else}`, `${NAME:+then}`; unknown names are empty.
fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let value = |name: &str| known.get(name).map_or("", String::as_str);
        rest = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((inner, behind)) => {
                match inner
                    .split_once(":-")
                    .map(|pair| (pair, true))
                    .or(inner.split_once(":+").map(|pair| (pair, false)))
                {
                    Some(((name, other), default)) => match value(name) {
                        "" if default => out.push_str(other),
                        there if default => out.push_str(there),
                        "" => {}
                        _ => out.push_str(other),
                    },
                    None => out.push_str(value(inner)),
                }
                behind
            }
            None => {
                let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
                out.push_str(value(&after[..end]));
                &after[end..]
            }
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, args: &[(&str, &str)], target: Option<&str>) -> Vec<String> {
        let args = args.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        bases(text, &args, target).into_iter().map(|base| base.name).collect()
    }

    #[test]
    fn the_images_of_the_stages_that_are_needed() {
        let text = "# syntax=docker/dockerfile:1\nARG V=3 BASE\nARG FULL=\"alpine:${V}\"\nFROM $FULL AS Build\n\
            RUN --mount=type=bind,from=tools:1,target=/t make\nfrom scratch\nCOPY --chown=1:1 --from=build /a /a\n\
            COPY --from=busybox:1 /b \\\n# a comment in between\n\n /b\nFROM debian AS other\nFROM 0\nADD --from=1 /a /a\n";
        assert_eq!(names(text, &[], None), ["alpine:3", "busybox:1", "tools:1"]);
        assert_eq!(names(text, &[("V", "4")], Some("build")), ["alpine:4", "tools:1"]);
        assert_eq!(names(text, &[("FULL", "x")], Some("OTHER")), ["debian"]);
        assert_eq!(names(text, &[("FULL", "x")], Some("0")), ["tools:1", "x"]);
    }

    #[test]
    fn platforms_escapes_and_here_documents() {
        let text = "# escape=`\nFROM --platform=$BUILDPLATFORM go `\n AS b\nRUN <<EOF\nFROM no\nEOF\n\
            RUN <<-'A' cat <<B\nFROM no\n\tA\nFROM no\nB\nFROM ${X:-one} AS c\nCOPY --from=b / /\nRUN a << 1\n";
        let args = [("BUILDPLATFORM".to_owned(), "linux/amd64".to_owned())].into();
        let found = bases(text, &args, None);
        assert_eq!(
            found,
            [
                Base { name: "go".into(), platform: Some("linux/amd64".into()) },
                Base { name: "one".into(), platform: None }
            ]
        );
        assert_eq!(names("ARG X=a\nFROM b${X:+c}$Y", &[], None), ["bc"]);
    }

    #[test]
    fn nonsense_is_no_image_and_no_panic() {
        for text in
            ["", "FROM", "FROM --platform=", "RUN x", "FROM ${", "FROM $", "from\\", "COPY --from=a", "FROM a\nFROM 7"]
        {
            let _ = names(text, &[], Some("x"));
        }
        assert_eq!(names("FROM $NOTHING", &[], None), [""; 0]);
        // A stage can only begin with one before it.
        assert_eq!(names("FROM b AS a\nFROM a AS b\n", &[], None), ["b"]);
        assert_eq!(names("FROM a AS a", &[], None), ["a"]);
    }
}
