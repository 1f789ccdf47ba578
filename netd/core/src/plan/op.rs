//! Everything that can be done to a kernel: families of ops, and where each can be done.

use super::address::AddressOp;
use super::effect::{Effect, End, Object, Place, Row};
use super::firewall::FirewallOp;
use super::lan::LanOp;
use super::link::LinkOp;
use super::port::PortOp;
use super::route::{ReplyOp, RouteOp};
use super::set::SetOp;
use super::sysctl::SysctlOp;
use super::vxlan::VxlanOp;
use super::wireguard::WireGuardOp;
use crate::firewall::Element;
use netd_api::IfName;
use serde::{Deserialize, Serialize};

/// The families that go in one scope. A journal has the op alone: its name says which family it is of.
macro_rules! families {
    ($(#[$doc:meta])* $scope:ident, $stranger:literal: $($family:ident($op:ident)),*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(untagged, expecting = $stranger)]
        pub enum $scope {
            $($family($op)),*
        }

        impl $scope {
            /// The names of all ops that go there.
            pub fn names() -> impl Iterator<Item = &'static str> {
                [$(&$op::NAMES[..]),*].concat().into_iter()
            }

            /// What it says of itself.
            pub fn effect(&self) -> &dyn Effect {
                match self {
                    $($scope::$family(op) => op),*
                }
            }
        }

        $(impl From<$op> for $scope {
            fn from(op: $op) -> Self {
                $scope::$family(op)
            }
        })*
    };
}

families! {
    /// What is done in netd's own network namespace.
    HostOp, "an op that this netd does on a host":
    Link(LinkOp), Set(SetOp), Port(PortOp), Address(AddressOp), Route(RouteOp), Sysctl(SysctlOp), Lan(LanOp),
    Firewall(FirewallOp), Vxlan(VxlanOp), WireGuard(WireGuardOp)
}

families! {
    /// What is done in a container's network namespace.
    ContainerOp, "an op that this netd does in a container":
    Set(SetOp), Address(AddressOp), Route(RouteOp), Reply(ReplyOp), Sysctl(SysctlOp), Lan(LanOp)
}

/// Where something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// netd's own network namespace.
    Host,
    /// The container's.
    Container,
}

/// One effect, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "scope", content = "op", rename_all = "lowercase")]
pub enum Op {
    Host(HostOp),
    Container(ContainerOp),
}

impl Op {
    /// The names of all ops, for sweeps over every kind there is.
    pub fn names() -> impl Iterator<Item = &'static str> {
        HostOp::names().chain(ContainerOp::names().filter(|name| !HostOp::names().any(|host| host == *name)))
    }

    /// Where it is done.
    pub fn scope(&self) -> Scope {
        match self {
            Op::Host(_) => Scope::Host,
            Op::Container(_) => Scope::Container,
        }
    }

    fn effect(&self) -> &dyn Effect {
        match self {
            Op::Host(op) => op.effect(),
            Op::Container(op) => op.effect(),
        }
    }

    /// See [`Effect::name`].
    pub fn name(&self) -> &'static str {
        self.effect().name()
    }

    /// See [`Effect::describe`].
    pub fn describe(&self) -> String {
        self.effect().describe()
    }

    /// See [`Effect::rows`].
    pub fn rows(&self) -> Vec<Row> {
        self.effect().rows()
    }

    /// See [`Effect::makes`].
    pub fn makes(&self) -> Option<&IfName> {
        self.effect().makes()
    }

    /// See [`Effect::link`].
    pub fn link(&self) -> Option<&IfName> {
        self.effect().link()
    }

    /// See [`Effect::place`].
    pub fn place(&self) -> Option<Place> {
        self.effect().place()
    }

    /// See [`Effect::object`].
    pub fn object(&self) -> Option<Object<'_>> {
        self.effect().object()
    }

    /// See [`Effect::ends`].
    pub fn ends(&self) -> Vec<End<'_>> {
        self.effect().ends()
    }

    /// Whether it is about this link, which it makes or changes.
    pub fn is_about(&self, link: &IfName) -> bool {
        self.makes() == Some(link) || self.link() == Some(link)
    }

    /// Whether it changes a link's MTU: a change that the link's own step then tells of.
    pub fn is_mtu(&self) -> bool {
        let (Op::Host(HostOp::Set(op)) | Op::Container(ContainerOp::Set(op))) = self else { return false };
        matches!(op, SetOp::Mtu { .. })
    }

    /// The elements that it puts into `inet rcr`.
    pub fn elements(&self) -> &[Element] {
        match self {
            Op::Host(HostOp::Firewall(FirewallOp::Elements { elements })) => elements,
            _ => &[],
        }
    }

    /// It without the elements that `keep` does not keep; nothing, if none is left of them. An op of another kind stays.
    pub fn with_elements(self, keep: impl Fn(&Element) -> bool) -> Option<Self> {
        match self {
            Op::Host(HostOp::Firewall(FirewallOp::Elements { mut elements })) => {
                elements.retain(keep);
                let left = !elements.is_empty();
                left.then_some(Op::Host(HostOp::Firewall(FirewallOp::Elements { elements })))
            }
            other => Some(other),
        }
    }
}
