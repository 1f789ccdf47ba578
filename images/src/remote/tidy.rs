//! Brings an image's config into the form of image-spec (config.md): builders write anything into fields that nobody
//! needs. Pure.

use oci_spec::image::{Arch, Os};
use serde_json::{Map, Value, json};

/// The shape of a field.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    /// A list of strings; a single string is a list of one, as Docker reads it.
    List,
    /// An object of which only the keys count.
    Keys,
    /// An object of strings.
    Texts,
}

/// The checked fields of `config`.
const FIELDS: [(&str, Shape); 9] = [
    ("User", Shape::Text),
    ("WorkingDir", Shape::Text),
    ("StopSignal", Shape::Text),
    ("Env", Shape::List),
    ("Entrypoint", Shape::List),
    ("Cmd", Shape::List),
    ("ExposedPorts", Shape::Keys),
    ("Volumes", Shape::Keys),
    ("Labels", Shape::Texts),
];

/// Makes a config parseable. Returns what was ignored.
pub fn config(value: &mut Value) -> Vec<String> {
    let mut strange = Vec::new();
    let Some(top) = value.as_object_mut() else { return strange };
    without_nulls(top);
    for key in ["created", "author", "os.version", "variant"] {
        fit(top, key, Shape::Text, "", &mut strange);
    }
    fit(top, "os.features", Shape::List, "", &mut strange);
    // The history is for people.
    let history = top.get("history").cloned().map(serde_json::from_value::<Vec<oci_spec::image::History>>);
    if history.is_some_and(|parsed| parsed.is_err()) {
        top.remove("history");
        strange.push("`history` is malformed, and is ignored".into());
    }
    for (key, own) in [("architecture", Arch::default().to_string()), ("os", Os::default().to_string())] {
        if !top.get(key).is_some_and(Value::is_string) {
            top.insert(key.into(), json!(own));
        }
    }
    if let Some(rootfs) = top.get_mut("rootfs").and_then(Value::as_object_mut) {
        without_nulls(rootfs);
        rootfs.entry("type").or_insert_with(|| json!("layers"));
        rootfs.entry("diff_ids").or_insert_with(|| json!([]));
    }
    match top.get_mut("config") {
        Some(Value::Object(config)) => {
            without_nulls(config);
            for (key, shape) in FIELDS {
                fit(config, key, shape, "config.", &mut strange);
            }
        }
        Some(_) => {
            top.remove("config");
            strange.push("`config` is not an object, and is ignored".into());
        }
        None => {}
    }
    strange
}

fn without_nulls(object: &mut Map<String, Value>) {
    object.retain(|_, value| !value.is_null());
}

/// Brings one field into its shape, or removes it.
fn fit(object: &mut Map<String, Value>, key: &str, shape: Shape, place: &str, strange: &mut Vec<String>) {
    let Some(value) = object.get_mut(key) else { return };
    let fitted = match (shape, value.take()) {
        (Shape::Text, value) => text(value).map(Value::String),
        (Shape::List, Value::Array(all)) => {
            let some = all.into_iter().filter(|one| !one.is_null());
            some.map(|one| text(one).map(Value::String)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        (Shape::List, value) => text(value).map(|one| json!([one])),
        (Shape::Keys, Value::Object(all)) => Some(all.into_iter().map(|(key, _)| (key, json!({}))).collect()),
        (Shape::Keys, Value::Array(all)) => {
            let keys = all.into_iter().map(|one| Some((text(one)?, json!({}))));
            keys.collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        (Shape::Texts, Value::Object(all)) => {
            let texts = all.into_iter().map(|(key, one)| {
                let one = if one.is_null() { String::new() } else { text(one)? };
                Some((key, Value::String(one)))
            });
            texts.collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        (Shape::Keys | Shape::Texts, _) => None,
    };
    match fitted {
        Some(fitted) => *value = fitted,
        None => {
            object.remove(key);
            strange.push(format!("`{place}{key}` has an unexpected type, and is ignored"));
        }
    }
}

/// A string, or what is written like one.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::document;
    use serde_json::json;

    #[test]
    fn what_nobody_needs_stops_nothing_and_what_is_lost_is_named() {
        let odd = json!({
            "created": null, "architecture": "amd64", "os": "linux", "history": null, "variant": null, "container": "x",
            "rootfs": {"type": "layers", "diff_ids": []},
            "config": {
                "User": 1000, "Env": null, "Cmd": "sh", "Entrypoint": null, "Labels": {"a": null, "b": 1}, "Volumes": null,
                "ExposedPorts": {"$PORT/tcp": null, "80/TCP": {}}, "StopSignal": "", "WorkingDir": "srv", "OnBuild": null,
                "Healthcheck": {"Test": ["NONE"]}, "ArgsEscaped": true,
            },
        });
        let (config, strange) = document::config(odd.to_string().as_bytes()).unwrap();
        assert_eq!(strange, [""; 0]);
        let inner = config.config().clone().unwrap();
        assert_eq!((inner.user().as_deref(), inner.cmd().clone().unwrap()), (Some("1000"), vec!["sh".to_owned()]));
        assert_eq!(inner.exposed_ports().clone().unwrap().len(), 2);
        assert_eq!(inner.labels().clone().unwrap()["a"], "");
        let odd =
            json!({"rootfs": {"diff_ids": null}, "history": [1], "config": {"Env": [{}], "Volumes": 3, "User": []}});
        let (config, strange) = document::config(odd.to_string().as_bytes()).unwrap();
        assert_eq!(strange.len(), 4, "{strange:?}");
        assert!(strange.iter().any(|s| s.contains("`config.Volumes`")), "{strange:?}");
        assert_eq!(config.os().to_string(), "linux");
        for bad in ["", "[]", "{}", r#"{"rootfs":{"diff_ids":[{}]}}"#] {
            assert!(document::config(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
