//! Plans, and what became of their steps.

use super::op::{ContainerOp, HostOp, Op};
use crate::firewall::Element;
use netd_api::IfName;
use serde::{Deserialize, Serialize};

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    #[serde(flatten)]
    pub op: Op,
    /// Why it is there, or why it stands where it stands.
    #[serde(skip)]
    pub why: &'static str,
}

impl Step {
    /// A step on the host.
    pub fn host(op: impl Into<HostOp>, why: &'static str) -> Self {
        Self { op: Op::Host(op.into()), why }
    }

    /// A step in the container.
    pub fn container(op: impl Into<ContainerOp>, why: &'static str) -> Self {
        Self { op: Op::Container(op.into()), why }
    }
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Written down, perhaps done: a crash came between.
    Intended,
    /// Not done.
    Skipped,
    Created,
    /// It was there before: undo leaves it.
    AlreadyThere,
    /// The old value: undo puts it back.
    Replaced(String),
}

/// Steps in the order in which they are applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub steps: Vec<Step>,
}

impl Plan {
    /// Adds a step on the host.
    pub fn host(&mut self, op: impl Into<HostOp>, why: &'static str) {
        self.steps.push(Step::host(op, why));
    }

    /// Adds a step in the container.
    pub fn container(&mut self, op: impl Into<ContainerOp>, why: &'static str) {
        self.steps.push(Step::container(op, why));
    }

    /// Whether it creates this link.
    pub fn makes(&self, link: &IfName) -> bool {
        self.steps.iter().any(|step| step.op.makes() == Some(link))
    }

    /// All elements that the plan puts into `inet rcr`.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.steps.iter().flat_map(|step| step.op.elements())
    }
}
