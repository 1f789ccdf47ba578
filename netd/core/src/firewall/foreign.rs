//! Other people's firewalls: would a chain of theirs let a container's packets through? Pure.
//!
//! Every chain at a hook can drop a packet, whatever the others accept. Rules are followed as far as links and families
//! decide. A rule that depends on more is taken not to match.

use std::collections::BTreeMap;

/// A base chain at the forward hook that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignChain {
    /// `NFPROTO_*`: 1 inet, 2 ip, 7 bridge, 10 ip6.
    pub family: u8,
    pub table: String,
    pub name: String,
    pub drops: bool,
}

impl ForeignChain {
    /// The family as nft(8) writes it.
    pub fn family_name(&self) -> &'static str {
        match self.family {
            2 => "ip",
            10 => "ip6",
            7 => "bridge",
            _ => "inet",
        }
    }
}

/// What an expression of a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    Load {
        register: u32,
        what: What,
    },
    /// `not`: matches what differs.
    Compare {
        register: u32,
        not: bool,
        value: Vec<u8>,
    },
    /// `not`: matches what is in none of these. No values: a set that is more than a list.
    In {
        register: u32,
        not: bool,
        set: String,
        values: Option<Vec<Vec<u8>>>,
    },
    /// Counts, logs.
    Nothing,
    /// Depends on what we don't know.
    Unknown,
    Verdict(Judgement),
}

/// What is loaded, as far as it is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Iif,
    Oif,
    Family,
    Other,
}

/// What a rule says of a packet that it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    Accept,
    /// Dropped or rejected.
    Drop,
    Return,
    Jump(String),
    Goto(String),
}

/// The rules of a table, by chain.
pub type Rules = BTreeMap<String, Vec<Vec<Expression>>>;

/// A packet that opens a connection of a container, or one to it. `None`: any link that is none of ours.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    pub iif: Option<&'a str>,
    pub oif: Option<&'a str>,
    /// 2 or 10.
    pub family: u8,
}

/// Chains in chains that are followed.
const DEEPEST: usize = 16;

/// Whether the chain stops the packet.
pub fn stops(chain: &ForeignChain, rules: &Rules, probe: Probe<'_>) -> bool {
    let concerned = match chain.family {
        1 => true,
        family => family == probe.family,
    };
    concerned && walk(&chain.name, rules, probe, 0).unwrap_or(chain.drops)
}

/// Whether it is stopped, if the chain decides.
fn walk(chain: &str, rules: &Rules, probe: Probe<'_>, depth: usize) -> Option<bool> {
    if depth > DEEPEST {
        return None;
    }
    for rule in rules.get(chain).into_iter().flatten() {
        match judge(rule, probe) {
            None => {}
            Some(Judgement::Accept) => return Some(false),
            Some(Judgement::Drop) => return Some(true),
            Some(Judgement::Return) => return None,
            Some(Judgement::Jump(to)) => {
                if let Some(decided) = walk(&to, rules, probe, depth + 1) {
                    return Some(decided);
                }
            }
            Some(Judgement::Goto(to)) => return walk(&to, rules, probe, depth + 1),
        }
    }
    None
}

/// What a rule says, if it is certain to match.
fn judge(rule: &[Expression], probe: Probe<'_>) -> Option<Judgement> {
    let mut known: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for expression in rule {
        match expression {
            Expression::Load { register, what } => {
                let value = match what {
                    What::Iif => probe.iif.map(link_name),
                    What::Oif => probe.oif.map(link_name),
                    What::Family => Some(vec![probe.family]),
                    What::Other => None,
                };
                match value {
                    Some(value) => drop(known.insert(*register, value)),
                    None => drop(known.remove(register)),
                }
            }
            Expression::Compare { register, not, value } => {
                // A shorter value is a prefix: `br-*`.
                let loaded = known.get(register)?;
                if (loaded.get(..value.len()) == Some(value)) == *not {
                    return None;
                }
            }
            Expression::In { register, not, values, .. } => {
                let (loaded, values) = (known.get(register)?, values.as_ref()?);
                // Keys of several fields are longer than what is known.
                if values.iter().any(|value| value.len() != loaded.len()) || values.contains(loaded) == *not {
                    return None;
                }
            }
            Expression::Nothing => {}
            Expression::Unknown => return None,
            Expression::Verdict(judgement) => return Some(judgement.clone()),
        }
    }
    None
}

fn link_name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

/// The command that lets a network through: in front of everything in that chain.
pub fn command(chain: &ForeignChain, link: &str) -> String {
    let (family, table, name) = (chain.family_name(), &chain.table, &chain.name);
    let rule = |which: &str| format!("insert rule {family} {table} {name} {which} \"{link}\" accept");
    format!("nft '{}; {}'", rule("iifname"), rule("oifname"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(drops: bool) -> ForeignChain {
        ForeignChain { family: 2, table: "filter".into(), name: "FORWARD".into(), drops }
    }

    fn on(what: What, value: &[u8], judgement: Judgement) -> Vec<Expression> {
        vec![
            Expression::Load { register: 1, what },
            Expression::Compare { register: 1, not: false, value: value.to_vec() },
            Expression::Nothing,
            Expression::Verdict(judgement),
        ]
    }

    #[test]
    fn what_is_certain_counts() {
        let out = Probe { iif: Some("rcr0"), oif: None, family: 2 };
        let into = Probe { iif: None, oif: Some("rcr0"), family: 2 };
        let mut rules = Rules::new();
        assert!(stops(&chain(true), &rules, out) && !stops(&chain(false), &rules, out));
        assert!(!stops(&chain(true), &rules, Probe { family: 10, ..out }), "the other family");
        // Docker's: its own bridge alone, and a chain for the administrator.
        rules.insert(
            "FORWARD".into(),
            vec![
                vec![Expression::Nothing, Expression::Verdict(Judgement::Jump("DOCKER-USER".into()))],
                on(What::Iif, &link_name("docker0"), Judgement::Accept),
                vec![Expression::Unknown, Expression::Verdict(Judgement::Accept)],
            ],
        );
        assert!(stops(&chain(true), &rules, out));
        rules.insert("DOCKER-USER".into(), vec![on(What::Iif, b"rcr", Judgement::Accept)]);
        assert!(!stops(&chain(true), &rules, out) && stops(&chain(true), &rules, into));
        rules.entry("DOCKER-USER".into()).or_default().push(on(What::Oif, &link_name("rcr0"), Judgement::Accept));
        assert!(!stops(&chain(true), &rules, into));
        // firewalld's: a policy that accepts, and a last rule that does not.
        let last = Rules::from([("FORWARD".into(), vec![vec![Expression::Verdict(Judgement::Drop)]])]);
        assert!(stops(&chain(false), &last, out));
        // A set of links.
        let listed = |not, names: &[&str]| {
            let values = Some(names.iter().map(|name| link_name(name)).collect());
            let load = Expression::Load { register: 1, what: What::Iif };
            let among = Expression::In { register: 1, not, set: "s".into(), values };
            Rules::from([("FORWARD".into(), vec![vec![load, among, Expression::Verdict(Judgement::Accept)]])])
        };
        assert!(!stops(&chain(true), &listed(false, &["eth0", "rcr0"]), out));
        assert!(stops(&chain(true), &listed(false, &["eth0"]), out));
        assert!(!stops(&chain(true), &listed(true, &["eth0"]), out));
        // A chain that calls itself has an end.
        let round =
            Rules::from([("FORWARD".into(), vec![vec![Expression::Verdict(Judgement::Jump("FORWARD".into()))]])]);
        assert!(stops(&chain(true), &round, out));
    }
}
