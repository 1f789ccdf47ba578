//! `--format`: Go's text/template, as Docker's command line has it, over values with Docker's names.
//!
//! The grammar is gotmpl's. Here are Docker's own functions (`json`, `split`, `join`, `title`, `lower`, `upper`, `pad`,
//! `truncate`), its method `Label`, and what it makes of `table` and `json`.
//!
//! Two things differ from Docker, where a template sees Go's types: an unknown field is an error, never `<no value>`,
//! also in a map of labels (`index` gives an empty text for a label that is not there, as Docker's does); and `json`
//! writes the keys of an object below the top in alphabetical order.

mod functions;
mod names;

use gotmpl::{MissingKey, TemplateError, Value};
use rcr_base::{Error, Kind, Outcome};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What `--format` asks for.
#[derive(Debug, Clone)]
pub enum Format {
    /// The table that is printed without `--format`, too.
    Table,
    /// One JSON object a line.
    Json,
    /// A line for each object.
    Lines(Template),
    /// A table of these columns, with headings.
    Columns(Template),
}

/// A template that has been read.
#[derive(Clone)]
pub struct Template {
    text: String,
    rows: Arc<gotmpl::Template>,
    headings: Arc<gotmpl::Template>,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Template").field(&self.text).finish()
    }
}

/// `--format` of a listing. The escapes `\t` and `\n` stand for what they stand for in Go.
pub fn listing(text: &str) -> Result<Format, String> {
    let plain = text.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
    match plain.as_str() {
        "table" | "" => Ok(Format::Table),
        "json" => Ok(Format::Json),
        other => match other.strip_prefix("table") {
            Some(columns) => Template::read(columns.trim_start_matches(' ')).map(Format::Columns),
            None => Template::read(other).map(Format::Lines),
        },
    }
}

/// `--format` of `inspect`, `version`, `info`: the text as it is.
pub fn single(text: &str) -> Result<Format, String> {
    match text {
        "json" => Ok(Format::Json),
        other => Template::read(other).map(Format::Lines),
    }
}

impl Template {
    fn read(text: &str) -> Result<Self, String> {
        let source = functions::call_methods(text);
        let read = |functions: gotmpl::Template| {
            let parsed = functions.missing_key(MissingKey::Error).parse(&source);
            parsed.map(Arc::new).map_err(|error| error.to_string())
        };
        Ok(Self {
            text: text.to_owned(),
            rows: read(functions::of_rows(gotmpl::Template::new("")))?,
            headings: read(functions::of_headings(gotmpl::Template::new("")))?,
        })
    }

    /// The text for one object. `labels`: what the method `Label` looks in.
    pub fn text<T: Serialize>(&self, object: &T, labels: Option<&BTreeMap<String, String>>) -> Outcome<String> {
        // The whole object in the order in which it is declared.
        if self.is_whole_json() {
            return serde_json::to_string(object).map_err(|error| self.failed(&error.to_string(), &Value::Nil));
        }
        let mut value = gotmpl::to_value(object).map_err(|error| self.failed(&error.to_string(), &Value::Nil))?;
        names::add_go_names(&mut value);
        if let Some(labels) = labels {
            functions::add_method(&mut value, labels);
        }
        self.rows.execute_to_string(&value).map_err(|error| self.failed(&said(&error), &value))
    }

    /// Whether it is the whole object as JSON, and nothing else.
    pub fn is_whole_json(&self) -> bool {
        matches!(self.text.trim(), "{{json .}}" | "{{ json . }}")
    }

    /// The fields of an object that are written in it: `.Attributes.name` → `name`.
    pub fn fields_of(&self, object: &str) -> Vec<String> {
        let before = format!(".{object}.");
        let after = self.text.split(&before).skip(1);
        let name = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned);
        after.filter_map(name).collect()
    }

    /// Whether a field is written in it.
    pub fn mentions(&self, field: &str) -> bool {
        self.text.contains(field)
    }

    /// The headings of a table.
    pub fn headings(&self, names: &[(&str, &str)]) -> Outcome<String> {
        let mut map: BTreeMap<Arc<str>, Value> =
            names.iter().map(|(field, heading)| ((*field).into(), Value::String((*heading).into()))).collect();
        map.insert("Label".into(), functions::label_heading());
        let value = Value::Map(Arc::new(map));
        self.headings.execute_to_string(&value).map_err(|error| self.failed(&said(&error), &value))
    }

    fn failed(&self, why: &str, value: &Value) -> Error {
        let error = Error::new(Kind::Invalid, format!("cannot carry out the template `{}`", self.text)).caused_by(why);
        match value {
            Value::Map(fields) => {
                let names: Vec<&str> =
                    fields.keys().map(AsRef::as_ref).filter(|name| !names::is_alias(fields, name)).collect();
                error.hint(format!("the fields here are {}", names.join(", ")))
            }
            _ => error,
        }
    }
}

fn said(error: &TemplateError) -> String {
    match error {
        TemplateError::MissingKey { key } => format!("there is no field `{key}`"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn text(template: &str, object: &Json) -> Result<String, String> {
        let labels = BTreeMap::from([("a.b-c".to_owned(), "x".to_owned())]);
        let Format::Lines(template) = single(template)? else { return Err("no template".into()) };
        template.text(object, Some(&labels)).map_err(|error| error.causes.join(": "))
    }

    #[test]
    fn templates_as_scripts_write_them() {
        let object = json!({
            "ID": "abc", "Names": "web", "Size": 1_500_000_000_000_i64, "On": true,
            "NetworkSettings": { "Networks": { "n": { "IPAddress": "10.0.0.2" } }, "Ports": { "80/tcp": [{ "HostPort": "8080" }] } },
            "Config": { "Labels": { "k": "v" }, "Env": ["A=1", "B=2"], "Cmd": null },
        });
        for (template, want) in [
            ("{{.ID}}\t{{.Names}}", "abc\tweb"),
            ("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "10.0.0.2"),
            ("{{range $name, $n := .NetworkSettings.Networks}}{{$name}}={{$n.IPAddress}} {{end}}", "n=10.0.0.2 "),
            (r#"{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}"#, "8080"),
            (r#"{{index .Config.Labels "k"}}|{{index .Config.Labels "none"}}|"#, "v||"),
            ("{{json .Config.Labels}}{{json .Config.Env}}{{json .Config.Cmd}}", r#"{"k":"v"}["A=1","B=2"]null"#),
            ("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2\n"),
            (r#"{{join .Config.Env ","}}|{{index (split .ID "b") 1}}"#, "A=1,B=2|c"),
            ("{{upper .ID}}{{lower .ID}}{{title .Names}}", "ABCabcWeb"),
            ("{{truncate .ID 2}}|{{pad .ID 1 2}}|", "ab| abc  |"),
            ("{{if .On}}on{{else}}off{{end}}{{if eq .ID \"abc\"}}!{{end}}", "on!"),
            ("{{.Size}} {{.On}} {{len .Config.Env}} {{.Config.Env}}", "1500000000000 true 2 [A=1 B=2]"),
            (r#"{{.Label "a.b-c"}}{{.Label "none"}}{{printf "%-5s|" .ID}}"#, "xabc  |"),
            ("{{with .Config}}{{.Labels.k}}{{end}}{{/* no */}}", "v"),
            ("{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" .ID}}", "<abc>"),
            ("{{range $i, $e := .Config.Env}}{{if $i}},{{end}}{{$e}}{{end}}", "A=1,B=2"),
        ] {
            assert_eq!(text(template, &object).as_deref(), Ok(want), "{template}");
        }
        assert!(text("{{.None}}", &object).unwrap_err().contains("no field `None`"));
        assert!(text("{{.ID", &object).is_err() && text("{{nothing .ID}}", &object).is_err());
        assert!(text("{{truncate .ID}}", &object).is_err() && text("{{join .ID}}", &object).is_err());
    }

    #[test]
    fn a_listing_has_columns_lines_or_json() {
        assert!(matches!(listing("json"), Ok(Format::Json)));
        assert!(matches!(listing("table"), Ok(Format::Table)));
        assert!(matches!(listing("{{.ID}}"), Ok(Format::Lines(_))));
        let Ok(Format::Columns(columns)) = listing(r"table {{.ID}}\t{{.Names | upper}}\t{{.Label `a.b-c`}}") else {
            panic!("columns")
        };
        let headings = columns.headings(&[("ID", "CONTAINER ID"), ("Names", "NAMES")]);
        assert_eq!(headings.unwrap(), "CONTAINER ID\tNAMES\tb c");
        assert!(columns.headings(&[("ID", "ID")]).is_err());
    }
}
