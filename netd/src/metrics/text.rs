//! Numbers as text: the format of Prometheus (0.0.4), and OpenMetrics 1.0.0, which it became.

use super::counters::TimesSeen;
use super::families::{Family, Kind};
use std::fmt::Write;

/// Which of the two a scrape wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Prometheus,
    OpenMetrics,
}

impl Form {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Form::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A text that grows family by family: each is written once, whole.
#[derive(Debug)]
pub struct Text {
    form: Form,
    text: String,
}

impl Text {
    /// An empty one.
    pub fn new(form: Form) -> Self {
        Self { form, text: String::new() }
    }

    /// A number without labels.
    pub fn number(&mut self, family: &Family, value: u64) {
        self.numbers::<&str, 0>(family, [([], value)]);
    }

    /// Numbers with the values of their labels, each set of values once. A family without any is not there.
    pub fn numbers<S: AsRef<str>, const N: usize>(
        &mut self,
        family: &Family,
        numbers: impl IntoIterator<Item = ([S; N], u64)>,
    ) {
        let mut numbers = numbers.into_iter().peekable();
        if numbers.peek().is_none() {
            return;
        }
        self.head(family);
        let name = family.asked();
        for (values, number) in numbers {
            let labels = labels(family.labels.iter().copied().zip(&values));
            // Writing into a string does not fail.
            let _ = writeln!(self.text, "{name}{labels} {number}");
        }
    }

    /// Times with the values of their labels.
    pub fn times<const N: usize>(&mut self, family: &Family, all: &[([&str; N], TimesSeen)]) {
        self.head(family);
        let name = family.name;
        for (values, seen) in all {
            let own = || family.labels.iter().copied().zip(values.iter().map(|value| (*value).to_owned()));
            for (bound, count) in &seen.buckets {
                let labels = labels(own().chain([("le", fraction(*bound))]));
                let _ = writeln!(self.text, "{name}_bucket{labels} {count}");
            }
            let labels_of_all = labels(own().chain([("le", "+Inf".to_owned())]));
            let _ = writeln!(self.text, "{name}_bucket{labels_of_all} {}", seen.count);
            let labels = labels(own());
            let _ = writeln!(self.text, "{name}_sum{labels} {}", fraction(seen.sum));
            let _ = writeln!(self.text, "{name}_count{labels} {}", seen.count);
        }
    }

    /// All of it.
    pub fn finish(mut self) -> String {
        if self.form == Form::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn head(&mut self, family: &Family) {
        let (name, kind) = match (self.form, family.kind) {
            (Form::OpenMetrics, Kind::Counter) => (family.name.to_owned(), "counter"),
            (Form::Prometheus, Kind::Counter) => (family.asked(), "counter"),
            (Form::OpenMetrics, Kind::Info) => (family.name.to_owned(), "info"),
            (Form::Prometheus, Kind::Info) => (family.asked(), "gauge"),
            (_, Kind::Gauge) => (family.name.to_owned(), "gauge"),
            (_, Kind::Histogram) => (family.name.to_owned(), "histogram"),
        };
        let help = escaped(family.help, false);
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
}

/// `{a="1",b="2"}`, or nothing.
fn labels<'a, S: AsRef<str>>(all: impl Iterator<Item = (&'a str, S)>) -> String {
    let all: Vec<String> = all.map(|(name, value)| format!("{name}=\"{}\"", escaped(value.as_ref(), true))).collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

/// A bound as a label has it: a whole number is written as a fraction, too (OpenMetrics 1.0.0, "Considerations:
/// Canonical Numbers").
fn fraction(number: f64) -> String {
    let text = number.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

fn escaped(text: &str, quotes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            // What a terminal would act on: names have none, comments of rules could.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::families;
    use super::*;

    fn written(form: Form) -> String {
        let mut text = Text::new(form);
        text.numbers(&families::BUILD, [(["1.2"], 1)]);
        text.numbers(&families::NET_SENT_BYTES, [(["a\"b\\c\nd"], 7)]);
        text.numbers::<&str, 1>(&families::NETWORKS, []);
        text.number(&families::DEBTS, 3);
        let seen = TimesSeen { buckets: vec![(0.5, 1), (1.0, 2)], count: 3, sum: 4.0 };
        text.times(&families::STORE, &[(["lazy"], seen)]);
        text.finish()
    }

    #[test]
    fn prometheus_has_names_with_their_endings() {
        let text = written(Form::Prometheus);
        for line in [
            "# TYPE netd_build_info gauge\nnetd_build_info{version=\"1.2\"} 1\n",
            "# TYPE netd_network_sent_bytes_total counter\n",
            "netd_network_sent_bytes_total{network=\"a\\\"b\\\\c\\nd\"} 7\n",
            "# TYPE netd_debts gauge\nnetd_debts 3\n",
            "netd_store_write_seconds_bucket{durability=\"lazy\",le=\"1.0\"} 2\n",
            "netd_store_write_seconds_bucket{durability=\"lazy\",le=\"+Inf\"} 3\n",
            "netd_store_write_seconds_sum{durability=\"lazy\"} 4.0\nnetd_store_write_seconds_count{durability=\"lazy\"} 3\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("EOF") && !text.contains("netd_networks"), "{text}");
    }

    #[test]
    fn openmetrics_names_families_without_endings_and_says_where_it_ends() {
        let text = written(Form::OpenMetrics);
        assert!(text.contains("# TYPE netd_build info\nnetd_build_info{version=\"1.2\"} 1\n"), "{text}");
        assert!(text.contains("# TYPE netd_network_sent_bytes counter\nnetd_network_sent_bytes_total{"), "{text}");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
    }
}
