//! An event in the form that Docker's API gives it.

use rcr_base::events::{Event, Object};
use serde::Serialize;
use std::collections::BTreeMap;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message<'a> {
    /// The action once more, for containers and images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'a str>,
    /// The id once more, for containers and images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    /// A container's image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<&'a str>,
    /// What kind of object it is about.
    #[serde(rename = "Type")]
    pub object: Object,
    /// What happened.
    #[serde(rename = "Action")]
    pub action: &'a str,
    /// The object.
    #[serde(rename = "Actor")]
    pub actor: Actor<'a>,
    /// `local`: of this host.
    pub scope: &'a str,
    /// Seconds since the epoch.
    pub time: i64,
    /// Nanoseconds since the epoch.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// The object of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor<'a> {
    /// Its id, or its name where that is its id.
    #[serde(rename = "ID")]
    pub id: &'a str,
    /// What else is known.
    #[serde(rename = "Attributes")]
    pub attributes: &'a BTreeMap<String, String>,
}

impl<'a> Message<'a> {
    /// Of one event.
    pub fn of(event: &'a Event) -> Self {
        let Event { time, object, action, id, attributes } = event;
        let old = matches!(object, Object::Container | Object::Image);
        let image = attributes.get("image").filter(|_| *object == Object::Container);
        Self {
            status: old.then_some(action.as_str()),
            id: old.then_some(id.as_str()),
            from: image.map(String::as_str),
            object: *object,
            action,
            actor: Actor { id, attributes },
            scope: "local",
            time: time.div_euclid(1_000_000_000),
            time_nano: *time,
        }
    }
}
