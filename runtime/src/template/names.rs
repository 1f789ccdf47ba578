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
        }
        _ => {}
    }
}

/// Whether a field is there under its name in JSON as well.
pub fn is_alias(fields: &BTreeMap<Arc<str>, Value>, name: &str) -> bool {
    NAMES.iter().any(|(json, go)| *go == name && fields.contains_key(*json))
        || matches!(fields.get(name), Some(Value::Function(_)))
}
