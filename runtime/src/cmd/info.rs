//! `version`, `info`.

use crate::cli::ShowArgs;
use crate::term::listing;
use rcr_base::Outcome;
use rcr_engine::info;
use rcr_engine::instance::Instance;
use serde_json::Value;

/// `rcr version`. netd is asked, not started.
pub fn version(instance: &Instance, args: &ShowArgs) -> Outcome<i32> {
    let version = info::version(instance);
    if let Some(format) = &args.format {
        println!("{}", listing::shown(format, &version)?);
        return Ok(0);
    }
    let client = &version.client;
    println!("rcr   {} (api {})", client.version, client.api_version);
    for one in &version.server.components {
        let about = |key: &str| one.details.get(key).map_or("", String::as_str);
        let (api, pid, store) = (about("ApiVersion"), about("Pid"), about("Store"));
        println!("{}  {} (api {api}, pid {pid}, store {store})", one.name, one.version);
    }
    if version.server.components.is_empty() {
        println!("netd  not running (it is started on demand)");
    }
    Ok(0)
}

/// `rcr info`.
pub fn info(instance: &Instance, args: &ShowArgs) -> Outcome<i32> {
    let info = info::info(instance)?;
    if let Some(format) = &args.format {
        println!("{}", listing::shown(format, &info)?);
        return Ok(0);
    }
    let Ok(Value::Object(all)) = serde_json::to_value(&info) else { return Ok(0) };
    for (key, value) in &all {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        println!("{key}: {text}");
    }
    Ok(0)
}
