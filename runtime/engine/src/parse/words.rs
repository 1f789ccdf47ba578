//! Words, pairs and booleans, and suggestions for unknown words.

/// A value, or what was wrong with the text: the line below `cannot understand …`.
pub type Parsed<T> = Result<T, String>;

/// `true`, `1`, `false` or `0`.
pub fn boolean(text: &str) -> Parsed<bool> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

/// `name=value`; the name is not empty.
pub fn pair(text: &str) -> Parsed<(String, String)> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "expected name=value".into())
}

/// `key=value`, or `key` with an empty value.
pub fn label(text: &str) -> Parsed<(String, String)> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err(format!("label `{text}` has no key"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// One of a program's three streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Its input.
    Stdin,
    /// Its output.
    Stdout,
    /// Its errors.
    Stderr,
}

/// `stdin`, `stdout` or `stderr`, in any case.
pub fn stream(text: &str) -> Parsed<Stream> {
    match text.to_ascii_lowercase().as_str() {
        "stdin" => Ok(Stream::Stdin),
        "stdout" => Ok(Stream::Stdout),
        "stderr" => Ok(Stream::Stderr),
        _ => Err("expected stdin, stdout or stderr".into()),
    }
}

/// The program that runs containers: there is one.
pub fn runtime(text: &str) -> Parsed<String> {
    match text {
        "rcr" | "" => Ok("rcr".into()),
        other => Err(format!(
            "there is no runtime `{other}`: rcr runs its containers itself; devices that another runtime would add come \
             by `--device VENDOR/CLASS=NAME`"
        )),
    }
}

/// `a,"b,c",d` → `a`, `b,c`, `d`.
pub fn fields(text: &str) -> Parsed<Vec<String>> {
    let (mut all, mut quoted) = (vec![String::new()], false);
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(String::new()),
            other => all.last_mut().into_iter().for_each(|part| part.push(other)),
        }
    }
    if quoted { Err(format!("`{text}` lacks a quotation mark")) } else { Ok(all) }
}

/// `; did you mean …?`, if something known is near.
pub fn nearest(given: &str, known: &[&str]) -> String {
    let best = known.iter().map(|name| (distance(given, name), name)).min();
    match best {
        Some((distance, name)) if distance <= given.len().max(3) / 2 => format!("; did you mean `{name}`?"),
        _ => format!("; known are {}", known.join(", ")),
    }
}

/// Edits from one word to another (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_named_and_else_all() {
        assert_eq!(nearest("mtuu", &["mtu", "name"]), "; did you mean `mtu`?");
        assert_eq!(nearest("parent", &["mtu", "name"]), "; known are mtu, name");
        assert!(pair("=x").is_err() && pair("x").is_err() && label("=x").is_err());
        assert_eq!(label("a"), Ok(("a".into(), String::new())));
    }
}
