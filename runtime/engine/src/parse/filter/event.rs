//! Filters of events.

use super::{LabelFilter, Test, key_value, unknown};
use crate::parse::Parsed;
use crate::parse::words::nearest;
use rcr_base::events::{Event, Object};

/// A filter of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventFilter {
    /// Of this kind of object.
    Type(String),
    /// What happened: `die`, `health_status: healthy`. One without what follows the colon stands for all of them.
    Action(String),
    /// Of containers, images, … whose id or name begins so.
    Of(Object, String),
    /// An image's own, and those of its containers.
    Image(String),
    /// A label of the object.
    Label(LabelFilter),
    /// `local`, as all are, or `swarm`.
    Scope(String),
    /// Of objects that there are none of here.
    Strange(&'static str),
}

/// Docker's types of objects.
const TYPES: [&str; 10] =
    ["container", "image", "network", "volume", "daemon", "plugin", "node", "service", "secret", "config"];
const KNOWN: [&str; 14] = [
    "container",
    "event",
    "image",
    "label",
    "network",
    "volume",
    "type",
    "scope",
    "daemon",
    "plugin",
    "node",
    "service",
    "secret",
    "config",
];
/// Actions that have more behind a colon.
const WITH_MORE: [&str; 3] = ["health_status", "exec_create", "exec_start"];

/// `container=…`, `event=…`, `image=…`, `label=…`, `network=…`, `volume=…`, `type=…`, `scope=…`, and kinds of objects
/// that there are none of.
pub fn event_filter(text: &str) -> Parsed<EventFilter> {
    let (key, value) = key_value(text);
    let known = KNOWN.iter().find(|known| **known == key).ok_or_else(|| unknown(key, &KNOWN))?;
    if value.is_empty() {
        return Err(format!("expected {key}=VALUE"));
    }
    let value = value.to_owned();
    Ok(match *known {
        "container" => EventFilter::Of(Object::Container, value),
        "network" => EventFilter::Of(Object::Network, value),
        "volume" => EventFilter::Of(Object::Volume, value),
        "event" => EventFilter::Action(value),
        "image" => EventFilter::Image(value),
        "label" => EventFilter::Label(LabelFilter::read(&value, true)),
        "type" if TYPES.contains(&value.as_str()) => EventFilter::Type(value),
        "type" => return Err(format!("unknown type `{value}`{}", nearest(&value, &TYPES))),
        "scope" if ["local", "swarm"].contains(&value.as_str()) => EventFilter::Scope(value),
        "scope" => return Err(format!("unknown scope `{value}`{}", nearest(&value, &["local", "swarm"]))),
        strange => EventFilter::Strange(strange),
    })
}

impl EventFilter {
    /// The filter, ready to be asked.
    pub(crate) fn test(&self) -> Test<Event> {
        let kind = match self {
            EventFilter::Type(_) => "type",
            EventFilter::Action(_) => "event",
            EventFilter::Of(object, _) => object.name(),
            EventFilter::Image(_) => "image",
            EventFilter::Label(_) => "label",
            EventFilter::Scope(_) => "scope",
            EventFilter::Strange(kind) => kind,
        };
        let filter = self.clone();
        Test { kind, fits: Box::new(move |event| filter.fits(event)) }
    }

    fn fits(&self, event: &Event) -> bool {
        let name = || event.attributes.get("name").map(String::as_str).unwrap_or_default();
        match self {
            EventFilter::Type(wanted) => event.object.name() == wanted,
            EventFilter::Action(wanted) if WITH_MORE.contains(&wanted.as_str()) => event.action.starts_with(wanted),
            EventFilter::Action(wanted) => event.action == *wanted,
            EventFilter::Of(object, wanted) => {
                event.object == *object && (event.id.starts_with(wanted) || name().starts_with(wanted))
            }
            EventFilter::Image(wanted) => {
                let image = match event.object {
                    Object::Image => name(),
                    _ => event.attributes.get("image").map(String::as_str).unwrap_or_default(),
                };
                let calls = |text: &str| !text.is_empty() && (text == wanted || without_tag(text) == wanted);
                calls(image) || (event.object == Object::Image && calls(&event.id))
            }
            EventFilter::Label(label) => label.fits(&event.attributes),
            EventFilter::Scope(wanted) => wanted == "local",
            EventFilter::Strange(_) => false,
        }
    }
}

/// `localhost:5000/a:1` → `localhost:5000/a`.
fn without_tag(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::filter::fits_all;

    fn event(object: Object, action: &str, attributes: &[(&str, &str)]) -> Event {
        let attributes = attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Event { time: 1, object, action: action.into(), id: "abcdef".into(), attributes }
    }

    fn fits(event: &Event, filters: &[&str]) -> bool {
        let tests: Vec<_> = filters.iter().map(|text| event_filter(text).unwrap().test()).collect();
        fits_all(event, &tests)
    }

    #[test]
    fn several_of_one_key_are_alternatives_and_different_keys_must_all_fit() {
        let die = event(Object::Container, "die", &[("name", "web"), ("image", "localhost:5000/a:1"), ("tier", "1")]);
        assert!(fits(&die, &[]) && fits(&die, &["event=die", "event=start", "container=web"]));
        assert!(fits(&die, &["container=abc"]) && !fits(&die, &["event=die", "container=other"]));
        assert!(fits(&die, &["image=localhost:5000/a"]) && fits(&die, &["image=localhost:5000/a:1"]));
        assert!(!fits(&die, &["image=localhost"]) && !fits(&die, &["network=web"]) && !fits(&die, &["node=web"]));
        assert!(fits(&die, &["label=tier=1", "label=name"]) && !fits(&die, &["label=tier=1", "label=none"]));
        assert!(fits(&die, &["scope=local", "type=container"]) && !fits(&die, &["scope=swarm"]));
        let health = event(Object::Container, "health_status: healthy", &[]);
        assert!(fits(&health, &["event=health_status"]) && fits(&health, &["event=health_status: healthy"]));
        assert!(!fits(&health, &["event=health"]));
        let pull = event(Object::Image, "pull", &[("name", "alpine")]);
        assert!(fits(&pull, &["image=alpine"]) && fits(&pull, &["image=abcdef"]) && !fits(&pull, &["type=network"]));
    }

    #[test]
    fn unknown_words_are_refused() {
        assert!(event_filter("contaner=x").unwrap_err().contains("`container`"));
        assert!(event_filter("type=contaner").unwrap_err().contains("`container`"));
        for bad in ["scope=global", "container=", "event", "=x"] {
            assert!(event_filter(bad).is_err(), "{bad}");
        }
    }
}
