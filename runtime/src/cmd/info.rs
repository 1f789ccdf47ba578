//! `version`, `info`.

use crate::cli::FormatArgs;
use crate::term::table;
use rcr_base::Outcome;
use rcr_engine::info;
use rcr_engine::instance::Instance;
use serde_json::{Value, json};

/// `rcr version`. netd is asked, not started.
pub fn version(instance: &Instance, format: &FormatArgs) -> Outcome<i32> {
    let own = env!("CARGO_PKG_VERSION");
    let daemon = info::netd(instance);
    if format.is_json() {
        table::print_json(
            &json!({ "Client": { "Version": own, "ApiVersion": netd_api::API_VERSION }, "Server": daemon }),
        );
        return Ok(0);
    }
    println!("rcr   {own} (api {})", netd_api::API_VERSION);
    match daemon {
        Some(info) => println!("netd  {} (api {}, pid {}, store {})", info.version, info.api, info.pid, info.store),
        None => println!("netd  not running (it is started on demand)"),
    }
    Ok(0)
}

/// `rcr info`.
pub fn info(instance: &Instance, format: &FormatArgs) -> Outcome<i32> {
    let info = info::info(instance)?;
    if format.is_json() {
        table::print_json(&info);
        return Ok(0);
    }
    let Ok(Value::Object(all)) = serde_json::to_value(&info) else { return Ok(0) };
    for (key, value) in &all {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        println!("{key}: {text}");
    }
    Ok(0)
}
