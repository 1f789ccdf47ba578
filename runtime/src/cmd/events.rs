//! `events`.

use crate::cli::events::EventsArgs;
use crate::report;
use crate::template::{Format, Template};
use crate::term::outlet::say;
use crate::term::{listing, table};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcr_base::Outcome;
use rcr_engine::events::{self, Event, Message, Object, Wanted};
use rcr_engine::instance::Instance;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

/// `rcr events`, `rcr system events`.
pub fn events(instance: &Instance, args: &EventsArgs) -> Outcome<i32> {
    let format = args.format.as_ref();
    // What no event can be shown by is told now, not with the first event.
    let sample = Event {
        time: 0,
        object: Object::Container,
        action: String::new(),
        id: String::new(),
        attributes: BTreeMap::new(),
    };
    line(&sample, format)?;
    let wanted = Wanted { since: args.since, until: args.until, filters: args.filter.clone() };
    let end =
        events::events(instance, &wanted, io::stdout().as_fd(), &mut |event| say(&(line(event, format)? + "\n")))?;
    match end {
        events::End::Over => Ok(0),
        events::End::Unread => Err(report::broken_pipe()),
    }
}

fn line(event: &Event, format: Option<&Format>) -> Outcome<String> {
    let message = Message::of(event);
    match format {
        None => Ok(report::printable(&plain(&message)).replace(['\n', '\t'], " ")),
        Some(Format::Json | Format::Table) => table::json(&message),
        // The whole of it has the names of the API.
        Some(Format::Lines(template) | Format::Columns(template)) if template.is_whole_json() => table::json(&message),
        Some(format @ (Format::Lines(template) | Format::Columns(template))) => {
            listing::shown(format, &InTemplate::of(&message, template))
        }
    }
}

/// `2026-06-15T12:00:00.000000000Z container create ID (image=alpine, name=c1)`.
fn plain(message: &Message) -> String {
    let time = Timestamp::from_nanosecond(message.time_nano.into()).unwrap_or_default();
    let here = time.to_zoned(TimeZone::system());
    // Go writes Greenwich's time so.
    let zone = if here.offset().is_zero() { "Z".to_owned() } else { here.strftime("%:z").to_string() };
    let stamp = format!("{}{zone}", here.strftime("%Y-%m-%dT%H:%M:%S.%9f"));
    let about = format!("{stamp} {} {} {}", message.object.name(), message.action, message.actor.id);
    let attributes: Vec<_> = message.actor.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if attributes.is_empty() { about } else { format!("{about} ({})", attributes.join(", ")) }
}

/// An event as templates see it: by the names of Go's fields.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InTemplate<'a> {
    status: &'a str,
    #[serde(rename = "ID")]
    id: &'a str,
    from: &'a str,
    #[serde(rename = "Type")]
    object: Object,
    action: &'a str,
    actor: ActorInTemplate<'a>,
    scope: &'a str,
    time: i64,
    time_nano: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ActorInTemplate<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    attributes: BTreeMap<String, &'a str>,
}

impl<'a> InTemplate<'a> {
    /// Events have different attributes: one that the template names, and this event has not, is an empty text.
    fn of(message: &Message<'a>, template: &Template) -> Self {
        let mut attributes: BTreeMap<String, &str> =
            template.fields_of("Attributes").into_iter().map(|name| (name, "")).collect();
        attributes.extend(message.actor.attributes.iter().map(|(key, value)| (key.clone(), value.as_str())));
        Self {
            status: message.status.unwrap_or_default(),
            id: message.id.unwrap_or_default(),
            from: message.from.unwrap_or_default(),
            object: message.object,
            action: message.action,
            actor: ActorInTemplate { id: message.actor.id, attributes },
            scope: message.scope,
            time: message.time,
            time_nano: message.time_nano,
        }
    }
}
