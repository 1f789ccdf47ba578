//! Journals as netd 0.1.0 first wrote them: a netd that comes after it reads them, or its containers' networks would be lost.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use netd::kernel::{Journal, JournalState};
use netd_core::plan::{Op, Outcome, Purpose, Scope};
use serde_json::Value;
use std::collections::BTreeSet;

const BEFORE: &str = include_str!("journal.json");

/// The steps as they are written: scope, op and its fields. One op had another name.
fn steps(journal: &Value) -> Vec<(String, Value)> {
    let step = |step: &Value| {
        let (scope, mut op) = (step["scope"].as_str().unwrap().to_owned(), step["op"].clone());
        if op["op"] == "shim" {
            op["op"] = "own_link".into();
        }
        (scope, op)
    };
    journal["plan"]["steps"].as_array().unwrap().iter().map(step).collect()
}

#[test]
fn a_journal_of_before_is_read_and_says_the_same_when_it_is_written_again() {
    let written: Value = serde_json::from_str(BEFORE).unwrap();
    let journal: Journal = serde_json::from_str(BEFORE).unwrap();
    assert_eq!((journal.state, journal.plan.steps.len()), (JournalState::Up, journal.outcomes.len()));
    assert_eq!(journal.outcomes[..3], [Outcome::AlreadyThere, Outcome::Intended, Outcome::Replaced("0".into())]);
    for (step, (scope, op)) in journal.plan.steps.iter().zip(steps(&written)) {
        assert_eq!(step.op.name(), op["op"].as_str().unwrap());
        assert_eq!(step.op.scope() == Scope::Container, scope == "container", "{op}");
    }
    let of_parent: Vec<String> =
        journal.plan.steps.iter().filter(|s| s.purpose == Purpose::Parent).map(|step| step.op.describe()).collect();
    let wanted = [
        "create VLAN link `up0.50` on `up0`",
        "set sysctl `net/ipv6/conf/up0.50/disable_ipv6` to `1`",
        "set `up0.50` up",
        "ask the LAN for the addresses of `up0.50`",
    ];
    assert_eq!(of_parent, wanted, "what goes over to another network");
    let inside = journal.plan.steps.iter().filter(|step| step.op.scope() == Scope::Container);
    let of_lease = inside.filter(|step| matches!(step.purpose, Purpose::Addresses | Purpose::Routes));
    let of_lease: Vec<&str> = of_lease.map(|step| step.op.name()).collect();
    assert_eq!(of_lease, ["address", "route", "probe", "announce"], "what goes when a lease goes");
    let again = serde_json::to_value(&journal).unwrap();
    assert_eq!(steps(&again), steps(&written));
    assert_eq!(serde_json::from_value::<Journal>(again).unwrap(), journal);
}

#[test]
fn it_has_every_op_there_is() {
    let journal: Journal = serde_json::from_str(BEFORE).unwrap();
    let there: BTreeSet<&str> = journal.plan.steps.iter().map(|step| step.op.name()).collect();
    assert_eq!(there, Op::names().collect());
}

#[test]
fn what_makes_no_sense_in_a_container_is_no_step_of_one() {
    let step = |scope: &str| format!(r#"{{"scope":"{scope}","op":{{"op":"table"}}}}"#);
    assert!(serde_json::from_str::<netd_core::plan::Step>(&step("host")).is_ok());
    let refused = serde_json::from_str::<netd_core::plan::Step>(&step("container")).unwrap_err().to_string();
    assert!(refused.contains("an op that this netd does in a container"), "{refused}");
}
