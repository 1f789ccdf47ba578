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
