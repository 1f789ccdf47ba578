//! Plans, and what became of their steps.

use super::link::LinkOp;
use super::op::{ContainerOp, HostOp, Op};
use super::purpose::Purpose;
use crate::firewall::Element;
use netd_api::IfName;
use serde::{Deserialize, Serialize};

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    #[serde(flatten)]
    pub op: Op,
    #[serde(default)]
    pub purpose: Purpose,
    /// Why it is there, or why it stands where it stands.
    #[serde(skip)]
    pub why: &'static str,
}

impl Step {
    /// A step on the host.
    pub fn host(purpose: Purpose, op: impl Into<HostOp>, why: &'static str) -> Self {
        Self { op: Op::Host(op.into()), purpose, why }
    }

    /// A step in the container.
    pub fn container(purpose: Purpose, op: impl Into<ContainerOp>, why: &'static str) -> Self {
        Self { op: Op::Container(op.into()), purpose, why }
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
#[serde(from = "Written")]
pub struct Plan {
    pub steps: Vec<Step>,
}

/// A plan as a journal has it.
#[derive(Deserialize)]
struct Written {
    steps: Vec<Step>,
}

impl From<Written> for Plan {
    fn from(Written { mut steps }: Written) -> Self {
        let vlan = |step: &Step| match &step.op {
            Op::Host(HostOp::Link(LinkOp::Vlan { name, .. })) => Some(name.clone()),
            _ => None,
        };
        let parents: Vec<IfName> = steps.iter().filter_map(vlan).collect();
        for step in steps.iter_mut().filter(|step| step.purpose == Purpose::Unsaid) {
            step.purpose = Purpose::presumed(&step.op, &parents);
        }
        Self { steps }
    }
}

impl Plan {
    /// Adds a step on the host.
    pub fn host(&mut self, purpose: Purpose, op: impl Into<HostOp>, why: &'static str) {
        self.steps.push(Step::host(purpose, op, why));
    }

    /// Adds a step in the container.
    pub fn container(&mut self, purpose: Purpose, op: impl Into<ContainerOp>, why: &'static str) {
        self.steps.push(Step::container(purpose, op, why));
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
