//! `docs/metrics.md` and the dashboard speak of metrics that there are. `UPDATE_GOLDENS=1` writes the table anew.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use netd::metrics::families::{ALL, Family, Kind};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

fn row(family: &Family) -> String {
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
        Kind::Info => "info",
    };
    let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
    format!("| `{}` | {kind} | {} | {} |\n", family.asked(), labels.join(", "), family.help)
}

#[test]
fn the_table_has_every_metric() {
    const MARKS: [&str; 2] = ["<!-- metrics: begin -->\n", "<!-- metrics: end -->"];
    let path = document("metrics.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let from = text.find(MARKS[0]).expect("where the table begins") + MARKS[0].len();
    let to = text.find(MARKS[1]).expect("where the table ends");
    let table = "| metric | kind | labels | what it says |\n|---|---|---|---|\n".to_owned()
        + &ALL.iter().map(row).collect::<String>();
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, [&text[..from], &table, &text[to..]].concat()).unwrap();
        return;
    }
    assert_eq!(&text[from..to], table, "`UPDATE_GOLDENS=1` and the test `metrics::` again, if this is meant");
}

/// Names of ours in a text of PromQL, or in prose about it.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("netd_")).map(str::to_owned).collect()
}

/// Every name that a query can use.
fn known() -> BTreeSet<String> {
    let of = |family: &Family| match family.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", family.name)).to_vec(),
        _ => vec![family.asked()],
    };
    ALL.iter().flat_map(of).collect()
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let text = std::fs::read_to_string(document("grafana-netd.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut asked = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(!targets.is_empty() || panel["type"] == "row", "{panel}");
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            let names = names(query);
            assert!(!names.is_empty(), "`{query}` asks for nothing of ours");
            asked.extend(names);
        }
    }
    let known = known();
    let strange: Vec<_> = asked.difference(&known).collect();
    assert!(strange.is_empty(), "no such metrics: {strange:?}");
    // What goes wrong is on the dashboard.
    for family in ALL.iter().filter(|family| !["netd_build", "netd_start_time_seconds"].contains(&family.name)) {
        assert!(asked.iter().any(|name| name.starts_with(family.name)), "the dashboard does not show {}", family.name);
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    for variable in variables.iter().filter(|variable| variable["type"] == "query") {
        let query = variable["definition"].as_str().unwrap();
        assert!(names(query).is_subset(&known), "{query}");
    }
}

#[test]
fn what_to_be_warned_of_is_counted() {
    let text = std::fs::read_to_string(document("metrics.md")).unwrap();
    let alerts = text.split("## What to be warned of").nth(1).unwrap();
    let named = names(alerts);
    assert!(named.len() > 5, "{named:?}");
    let known = known();
    assert!(named.is_subset(&known), "{:?}", named.difference(&known));
}

#[test]
fn names_and_labels_are_as_prometheus_wants_them() {
    let mut seen = BTreeSet::new();
    for family in ALL {
        assert!(seen.insert(family.name), "{} twice", family.name);
        assert!(family.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", family.name);
        for ending in ["_total", "_count", "_sum", "_bucket", "_info", "_created"] {
            assert!(!family.name.ends_with(ending), "{} ends with what samples have", family.name);
        }
        assert!(!family.help.is_empty() && !family.help.contains('|'), "{}", family.name);
    }
}
