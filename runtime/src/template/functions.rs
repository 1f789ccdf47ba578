//! Functions that Docker adds to Go's own.

use gotmpl::{Template, TemplateError, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

type Answer = Result<Value, TemplateError>;

/// The functions of a template for objects.
pub fn of_rows(template: Template) -> Template {
    template
        .func("json", |args| text(json(one(args, "json")?).to_string()))
        .func("split", |args| {
            let (whole, by) = (string(args, 0, "split")?, string(args, 1, "split")?);
            Ok(Value::List(whole.split(by).map(|part| Value::String(part.into())).collect()))
        })
        .func("join", |args| {
            let parts: Vec<String> = match args.first() {
                Some(Value::List(list)) => list.iter().map(ToString::to_string).collect(),
                Some(Value::Nil) => Vec::new(),
                _ => return Err(refused("join", "takes a list and a text")),
            };
            text(parts.join(string(args, 1, "join")?))
        })
        .func("title", |args| text(title(string(args, 0, "title")?)))
        .func("lower", |args| text(string(args, 0, "lower")?.to_lowercase()))
        .func("upper", |args| text(string(args, 0, "upper")?.to_uppercase()))
        .func("pad", |args| {
            let (before, after) = (number(args, 1, "pad")?, number(args, 2, "pad")?);
            let inner = string(args, 0, "pad")?;
            // As with Docker, an empty text stays empty.
            if inner.is_empty() { text(String::new()) } else { text(" ".repeat(before) + inner + &" ".repeat(after)) }
        })
        .func("truncate", |args| {
            text(string(args, 0, "truncate")?.chars().take(number(args, 1, "truncate")?).collect())
        })
        .func("index", index)
}

/// The same for the headings of a table: they stay as they are.
pub fn of_headings(template: Template) -> Template {
    let same = |args: &[Value]| Ok(args.first().cloned().unwrap_or(Value::Nil));
    ["json", "split", "join", "title", "lower", "upper", "pad", "truncate", "index"]
        .into_iter()
        .fold(template, |template, name| template.func(name, same))
}

/// `.Label "key"` is a method in Go. Here it is a function in the object, which `call` calls.
pub fn call_methods(text: &str) -> String {
    let method = regex_lite::Regex::new(r#"(?P<of>\$?\w*)\.Label\s+(?P<quote>["`])"#);
    match method {
        Ok(method) if text.contains(".Label") => method.replace_all(text, "call ${of}.Label ${quote}").into_owned(),
        _ => text.to_owned(),
    }
}

/// Gives an object the method `Label`.
pub fn add_method(object: &mut Value, labels: &BTreeMap<String, String>) {
    let Value::Map(fields) = object else { return };
    let labels = labels.clone();
    let label = move |args: &[Value]| {
        let found = labels.get(string(args, 0, "Label")?);
        text(found.cloned().unwrap_or_default())
    };
    Arc::make_mut(fields).insert("Label".into(), Value::Function(Arc::new(label)));
}

/// A label's heading: its last part, in words.
pub fn label_heading() -> Value {
    Value::Function(Arc::new(|args: &[Value]| {
        let key = string(args, 0, "Label")?;
        text(key.rsplit('.').next().unwrap_or(key).replace(['-', '_'], " "))
    }))
}

/// Go's `index` on typed data: what a map of texts does not have is an empty text.
fn index(args: &[Value]) -> Answer {
    let (object, keys) = args.split_first().ok_or_else(|| refused("index", "takes an object and keys"))?;
    keys.iter().try_fold(object.clone(), |object, key| match (&object, key) {
        (Value::Map(map), Value::String(name)) if !map.contains_key(name.as_ref()) => {
            let texts = map.values().all(|value| matches!(value, Value::String(_)));
            Ok(if texts { Value::String("".into()) } else { Value::Nil })
        }
        _ => object.index(key),
    })
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(is) => (*is).into(),
        Value::Int(number) => (*number).into(),
        Value::Uint(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::String(text) => text.as_ref().into(),
        Value::List(list) => list.iter().map(json).collect(),
        Value::Map(map) => {
            let fields = map.iter().filter(|(name, _)| !super::names::is_alias(map, name));
            serde_json::Value::Object(fields.map(|(key, value)| (key.to_string(), json(value))).collect())
        }
        _ => serde_json::Value::Null,
    }
}

fn title(text: &str) -> String {
    let mut before = ' ';
    let raised = text.chars().flat_map(|c| {
        let first = !before.is_alphanumeric() && before != '_' && before != '\'';
        before = c;
        if first { c.to_uppercase().collect::<Vec<_>>() } else { vec![c] }
    });
    raised.collect()
}

fn text(text: String) -> Answer {
    Ok(Value::String(text.into()))
}

fn one<'a>(args: &'a [Value], function: &str) -> Result<&'a Value, TemplateError> {
    args.first().ok_or_else(|| refused(function, "takes a value"))
}

fn string<'a>(args: &'a [Value], at: usize, function: &str) -> Result<&'a str, TemplateError> {
    match args.get(at) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(refused(function, &format!("takes a text as argument {}", at + 1))),
    }
}

/// At most a line's worth: a template of one line must not fill the memory.
fn number(args: &[Value], at: usize, function: &str) -> Result<usize, TemplateError> {
    const MOST: i64 = 10_000;
    let number = args.get(at).and_then(Value::as_int).filter(|number| (0..=MOST).contains(number));
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| refused(function, &format!("takes a number of at most {MOST} as argument {}", at + 1)))
}

fn refused(function: &str, why: &str) -> TemplateError {
    TemplateError::Exec(format!("`{function}` {why}"))
}
