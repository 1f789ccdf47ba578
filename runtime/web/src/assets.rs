//! The page itself: files that are part of the program. Nothing is loaded from anywhere else.

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its name.
    pub name: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// What is in it.
    pub text: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";

macro_rules! assets {
    ($($name:literal: $kind:expr),* $(,)?) => {
        &[$(Asset { name: $name, kind: $kind, text: include_str!(concat!("../page/", $name)) }),*]
    };
}

/// All of them.
pub const ALL: &[Asset] = assets! {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "main.js": SCRIPT,
    "dom.js": SCRIPT,
    "data.js": SCRIPT,
    "format.js": SCRIPT,
    "lines.js": SCRIPT,
    "map.js": SCRIPT,
    "container.js": SCRIPT,
    "lists.js": SCRIPT,
    "network.js": SCRIPT,
    "why.js": SCRIPT,
    "en.json": JSON,
    "ko.json": JSON,
};

/// A file by its name; the empty one is the page's.
pub fn find(name: &str) -> Option<&'static Asset> {
    let name = if name.is_empty() { "index.html" } else { name };
    ALL.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// What the page may weigh, in bytes.
    const MOST: usize = 300 << 10;

    #[test]
    fn the_page_is_small_and_loads_nothing_from_elsewhere() {
        let size: usize = ALL.iter().map(|asset| asset.text.len()).sum();
        assert!(size < MOST, "{size} bytes");
        for asset in ALL {
            // The name of a language, not an address.
            let text = asset.text.replace("http://www.w3.org/2000/svg", "");
            for scheme in ["http:", "https:", "//cdn", "innerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text.contains(scheme), "{} has `{scheme}`", asset.name);
            }
        }
    }

    fn words(name: &str) -> serde_json::Map<String, Value> {
        let Some(Ok(Value::Object(words))) = find(name).map(|asset| serde_json::from_str(asset.text)) else {
            panic!("{name} is no table of words")
        };
        words
    }

    /// `{x}` in a text stands for a value.
    fn holes(text: &Value) -> BTreeSet<String> {
        let text = text.as_str().unwrap_or_default();
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn both_languages_say_the_same() {
        let (english, korean) = (words("en.json"), words("ko.json"));
        let names = |words: &serde_json::Map<String, Value>| words.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&english), names(&korean));
        for (name, text) in &english {
            assert_eq!(holes(text), holes(&korean[name]), "{name}");
            assert!(korean[name].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        }
    }

    #[test]
    fn every_word_that_the_page_asks_for_is_there_and_none_is_left_over() {
        let english = words("en.json");
        let sources: String =
            ALL.iter().filter(|asset| !asset.name.ends_with(".json")).map(|asset| asset.text).collect();
        for (at, _) in sources.match_indices("t(\"") {
            let before = sources[..at].chars().next_back().unwrap_or(' ');
            let name = sources[at + 3..].split('"').next().unwrap_or_default();
            // Names that end so are put together.
            if before.is_alphanumeric() || name.ends_with('.') {
                continue;
            }
            assert!(english.contains_key(name), "no words for `{name}`");
        }
        for name in english.keys() {
            let group = name.split('.').next().unwrap_or_default();
            let used = sources.contains(&format!("\"{name}\"")) || sources.contains(&format!("\"{group}.\""));
            assert!(used, "nobody asks for `{name}`");
        }
    }
}
