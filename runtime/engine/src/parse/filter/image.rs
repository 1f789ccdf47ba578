//! Filters of images.

use super::{LabelFilter, key_value, unknown};
use crate::parse::Parsed;
use crate::parse::words::boolean;
use jiff::Timestamp;
use regex_lite::Regex;

/// A filter of images.
#[derive(Debug, Clone)]
pub enum ImageFilter {
    /// It has no name (true), or it has one.
    Dangling(bool),
    /// A label of its config.
    Label(LabelFilter),
    /// Created before this image.
    Before(String),
    /// Created after this image.
    Since(String),
    /// Created before this time.
    Until(Timestamp),
    /// A pattern with `*`, `?` and `[…]` that a name fits; a star ends at a slash.
    Reference(Regex),
}

/// `dangling=…`, `label=…`, `before=…`, `since=…`, `until=…`, `reference=…`. `until`: reads the time.
pub fn image_filter(text: &str, until: impl Fn(&str) -> Parsed<Timestamp>) -> Parsed<ImageFilter> {
    let (key, value) = key_value(text);
    match key {
        "dangling" => boolean(value).map(ImageFilter::Dangling),
        "label" | "label!" => Ok(ImageFilter::Label(LabelFilter::read(value, key == "label"))),
        "before" => Ok(ImageFilter::Before(value.to_owned())),
        "since" => Ok(ImageFilter::Since(value.to_owned())),
        "until" => until(value).map(ImageFilter::Until),
        "reference" => reference(value).map(ImageFilter::Reference),
        _ => Err(unknown(key, &["dangling", "label", "before", "since", "until", "reference"])),
    }
}

/// A pattern of file names (glob(7)) as a regular expression. A name without a tag stands for every tag.
fn reference(pattern: &str) -> Parsed<Regex> {
    let mut regex = String::from("^");
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => {
                let inside: String = rest.by_ref().take_while(|c| *c != ']').collect();
                let (not, inside) = inside.strip_prefix(['!', '^']).map_or(("", inside.as_str()), |rest| ("^", rest));
                regex.push_str(&format!("[{not}{}]", inside.replace('\\', "\\\\").replace('[', "\\[")));
            }
            other => regex.push_str(&regex_lite::escape(&other.to_string())),
        }
    }
    let last = pattern.rsplit('/').next().unwrap_or_default();
    regex.push_str(if last.contains([':', '@']) { "$" } else { "(?:[:@].*)?$" });
    Regex::new(&regex).map_err(|_| format!("cannot understand the pattern `{pattern}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_names() {
        let fits = |pattern: &str, name: &str| reference(pattern).unwrap().is_match(name);
        for (pattern, name) in [
            ("alpine", "alpine:3.23"),
            ("alp*:3*", "alpine:3.23"),
            ("*/alpine", "library/alpine:latest"),
            ("alpin?", "alpine:1"),
            ("[a-c]lpine:1", "alpine:1"),
            ("localhost:5000/x", "localhost:5000/x:1"),
            ("registry.example/*/web", "registry.example/team/web:2"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        assert!(!fits("alpine:3", "alpine:3.23") && !fits("alp", "alpine:1") && !fits("web", "team/web:1"));
        assert!(image_filter("dangling=x", |_| Err(String::new())).is_err());
        assert!(image_filter("refrence=x", |_| Err(String::new())).unwrap_err().contains("`reference`"));
    }
}
