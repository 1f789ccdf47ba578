//! `inspect`, of whatever has the name.

use super::each::print_found;
use crate::cli::container::InspectArgs;
use rcr_base::Outcome;
use rcr_engine::inspect;
use rcr_engine::instance::Instance;

/// `rcr inspect`.
pub fn inspect(instance: &Instance, args: &InspectArgs) -> Outcome<i32> {
    print_found(&args.names, args.format.is_json(), |name| match args.kind {
        Some(kind) => inspect::of_kind(instance, name, kind),
        None => inspect::any(instance, name),
    })
}

/// `rcr container inspect`.
pub fn containers(instance: &Instance, names: &[String]) -> Outcome<i32> {
    print_found(names, false, |name| inspect::container(instance, name))
}
