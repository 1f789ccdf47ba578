//! `inspect`, of whatever has the name.

use super::each::print_found;
use crate::cli::container::{InspectArgs, InspectContainersArgs};
use rcr_base::Outcome;
use rcr_engine::inspect;
use rcr_engine::instance::Instance;

/// `rcr inspect`.
pub fn inspect(instance: &Instance, args: &InspectArgs) -> Outcome<i32> {
    print_found(&args.names, args.format.format.as_ref(), |name| match args.kind {
        Some(kind) => inspect::of_kind(instance, name, kind, args.size),
        None => inspect::any(instance, name, args.size),
    })
}

/// `rcr container inspect`.
pub fn containers(instance: &Instance, args: &InspectContainersArgs) -> Outcome<i32> {
    print_found(&args.names, args.format.format.as_ref(), |name| inspect::container(instance, name, args.size))
}
