//! A field has one name in JSON and another in Go: `docker inspect -f` takes both. So do we.

use gotmpl::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names in JSON, and Go's.
const NAMES: [(&str, &str); 12] = [
    ("Id", "ID"),
    ("ApiVersion", "APIVersion"),
    ("CpuShares", "CPUShares"),
    ("CpuPeriod", "CPUPeriod"),
    ("CpuQuota", "CPUQuota"),
    ("CpuRealtimePeriod", "CPURealtimePeriod"),
    ("CpuRealtimeRuntime", "CPURealtimeRuntime"),
    ("CpuCount", "CPUCount"),
    ("NanoCpus", "NanoCPUs"),
    ("Dns", "DNS"),
    ("DnsOptions", "DNSOptions"),
    ("DnsSearch", "DNSSearch"),
];

/// Fields that JSON leaves out where there is nothing to say, each with one that is always beside it. In Go they are
/// there: scripts ask `{{if .State.Health}}`. Here they are empty, so that what is asked below them is still an error.
const ABSENT: [(&str, &str, Empty); 4] = [
    ("OOMKilled", "Health", Empty::Object),
    ("Entrypoint", "Healthcheck", Empty::Object),
    ("Propagation", "Name", Empty::Text),
    ("Propagation", "Driver", Empty::Text),
];

enum Empty {
    Object,
    Text,
}

impl Empty {
    fn value(&self) -> Value {
        match self {
            Empty::Object => Value::Map(Arc::default()),
            Empty::Text => Value::String("".into()),
        }
    }
}

/// Gives every object below `value` Go's names, too.
pub fn add_go_names(value: &mut Value) {
    match value {
        Value::List(list) => {
            let mut all = list.to_vec();
            all.iter_mut().for_each(add_go_names);
            *list = all.into();
        }
        Value::Map(map) => {
            let fields = Arc::make_mut(map);
            fields.values_mut().for_each(add_go_names);
            for (json, go) in NAMES {
                if let Some(found) = fields.get(json).cloned() {
                    fields.entry(go.into()).or_insert(found);
                }
            }
            for (beside, field, empty) in &ABSENT {
                if fields.contains_key(*beside) {
                    fields.entry((*field).into()).or_insert_with(|| empty.value());
                }
            }
        }
        _ => {}
    }
}

/// Whether JSON does not have a field: it is there under another name, or has nothing to say.
pub fn is_alias(fields: &BTreeMap<Arc<str>, Value>, name: &str) -> bool {
    let empty = || match fields.get(name) {
        Some(Value::Map(inner)) => inner.is_empty(),
        Some(Value::String(text)) => text.is_empty(),
        _ => false,
    };
    if ABSENT.iter().any(|(beside, field, _)| *field == name && fields.contains_key(*beside)) && empty() {
        return true;
    }
    NAMES.iter().any(|(json, go)| *go == name && fields.contains_key(*json))
        || matches!(fields.get(name), Some(Value::Function(_)))
}
