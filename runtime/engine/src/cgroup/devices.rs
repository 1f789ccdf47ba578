//! Device rules. On cgroup v2 they become a small BPF program, which the kernel asks at each open(2) and mknod(2).
//!
//! cgroup v1 has `devices.allow` and `devices.deny`, and rules are lines; v2 has no file for it
//! (Documentation/admin-guide/cgroup-v2.rst, "Device controller"). Compiling is pure and tested here; `sys::bpf` loads
//! the program and binds it to the cgroup.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

/// `BPF_DEVCG_ACC_*` and `BPF_DEVCG_DEV_*` (uapi/linux/bpf.h).
const MKNOD: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;
const EVERY: u32 = MKNOD | READ | WRITE;
const BLOCK: u32 = 1;
const CHARACTER: u32 = 2;

/// One rule; `None` stands for any. Later rules win over earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub allow: bool,
    /// [`BLOCK`] or [`CHARACTER`].
    pub kind: Option<u32>,
    pub major: Option<u32>,
    pub minor: Option<u32>,
    /// Of [`MKNOD`], [`READ`] and [`WRITE`]. An allowing rule must name all that is asked for, a denying one any of it.
    pub access: u32,
}

const fn character(major: u32, minor: Option<u32>) -> Rule {
    Rule { allow: true, kind: Some(CHARACTER), major: Some(major), minor, access: EVERY }
}

const fn any_node(kind: u32) -> Rule {
    Rule { allow: true, kind: Some(kind), major: None, minor: None, access: MKNOD }
}

/// What every container has: its nodes in `/dev`, terminals, and mknod, which opens nothing.
const DEFAULT: [Rule; 12] = [
    character(1, Some(3)),    // null
    character(1, Some(5)),    // zero
    character(1, Some(7)),    // full
    character(1, Some(8)),    // random
    character(1, Some(9)),    // urandom
    character(5, Some(0)),    // tty
    character(5, Some(1)),    // console
    character(5, Some(2)),    // ptmx
    character(136, None),     // pts/*
    character(10, Some(200)), // net/tun, of the container's own network
    any_node(CHARACTER),
    any_node(BLOCK),
];

/// The spec's rules, then [`DEFAULT`]; a spec that ends by allowing everything needs none of these.
pub fn rules(spec: &[LinuxDeviceCgroup]) -> Vec<Rule> {
    let mut all: Vec<Rule> = spec.iter().map(rule).collect();
    if !all.last().is_some_and(|last| last.allow && tests(last).is_empty()) {
        all.extend(DEFAULT);
    }
    all
}

fn rule(device: &LinuxDeviceCgroup) -> Rule {
    let kind = match device.typ() {
        Some(LinuxDeviceType::B) => Some(BLOCK),
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(CHARACTER),
        _ => None,
    };
    // Numbers below zero mean any (runtime-spec, config-linux.md).
    let number = |n: Option<i64>| n.and_then(|n| u32::try_from(n).ok());
    let access = device.access().as_deref().unwrap_or("rwm").chars().fold(0, |all, c| {
        all | match c {
            'r' => READ,
            'w' => WRITE,
            'm' => MKNOD,
            _ => 0,
        }
    });
    Rule { allow: device.allow(), kind, major: number(device.major()), minor: number(device.minor()), access }
}

/// A rule as lines of v1 (Documentation/admin-guide/cgroup-v1/devices.rst). The kernel reads nothing behind an `a`,
/// which opens or closes everything: a narrower rule for both kinds of device is two lines.
pub fn lines(rule: &Rule) -> Vec<String> {
    if tests(rule).is_empty() {
        return vec!["a *:* rwm".into()];
    }
    let number = |n: Option<u32>| n.map_or_else(|| "*".into(), |n| n.to_string());
    let access: String = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')]
        .into_iter()
        .filter(|(bit, _)| rule.access & bit != 0)
        .map(|(_, letter)| letter)
        .collect();
    let (major, minor) = (number(rule.major), number(rule.minor));
    [(BLOCK, 'b'), (CHARACTER, 'c')]
        .into_iter()
        .filter(|(kind, _)| rule.kind.is_none_or(|own| own == *kind))
        .map(|(_, letter)| format!("{letter} {major}:{minor} {access}"))
        .collect()
}

/// The program for `rules`, 8 bytes an instruction; `None` when it would allow everything, so that none is needed.
///
/// The kernel gives a `struct bpf_cgroup_dev_ctx` (uapi/linux/bpf.h): access in the upper and type in the lower half of
/// the first word, then major, then minor. Answer 1 allows, 0 denies. The last rule that fits decides, so they are
/// tried backwards.
pub fn program(rules: &[Rule]) -> Option<Vec<u64>> {
    let mut code = vec![
        load(KIND, 0),
        operate(AND, KIND, 0xffff),
        load(ACCESS, 0),
        operate(SHIFT_RIGHT, ACCESS, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    let prologue = code.len();
    for rule in rules.iter().rev() {
        let tests = tests(rule);
        if tests.is_empty() {
            if rule.allow && code.len() == prologue {
                return None;
            }
            // The verifier refuses what can't be reached: nothing may follow.
            code.extend(answer(rule.allow));
            return Some(code);
        }
        // Each test that fails jumps behind the answer.
        let length = tests.len() + 2;
        for (at, test) in tests.into_iter().enumerate() {
            code.push(match test {
                Test::Compute(instruction) => instruction,
                Test::Unless(jump) => jump.to(length - at - 1),
            });
        }
        code.extend(answer(rule.allow));
    }
    code.extend(answer(false));
    Some(code)
}

enum Test {
    Compute(u64),
    /// The rule fits unless this jumps.
    Unless(Jump),
}

fn tests(rule: &Rule) -> Vec<Test> {
    let mut all = Vec::new();
    if let Some(kind) = rule.kind {
        all.push(Test::Unless(Jump { code: JUMP_NOT_EQUAL, register: KIND, value: kind }));
    }
    if rule.access != EVERY {
        // What is asked for beyond an allowing rule; what is asked for of a denying one.
        let (mask, jump) = if rule.allow { (EVERY & !rule.access, JUMP_NOT_EQUAL) } else { (rule.access, JUMP_EQUAL) };
        all.push(Test::Compute(copy(SCRATCH, ACCESS)));
        all.push(Test::Compute(operate(AND, SCRATCH, mask)));
        all.push(Test::Unless(Jump { code: jump, register: SCRATCH, value: 0 }));
    }
    for (register, number) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
        if let Some(value) = number {
            all.push(Test::Unless(Jump { code: JUMP_NOT_EQUAL, register, value }));
        }
    }
    all
}

// Registers: r1 comes with the context and is free once its words are loaded.
const RESULT: u64 = 0;
const SCRATCH: u64 = 1;
const KIND: u64 = 2;
const ACCESS: u64 = 3;
const MAJOR: u64 = 4;
const MINOR: u64 = 5;

// Operation codes (Documentation/bpf/standardization/instruction-set.rst).
const LOAD_WORD: u64 = 0x61;
const AND: u64 = 0x54;
const SHIFT_RIGHT: u64 = 0x74;
const COPY: u64 = 0xbc;
const SET: u64 = 0xb7;
const JUMP_EQUAL: u64 = 0x15;
const JUMP_NOT_EQUAL: u64 = 0x55;
const EXIT: u64 = 0x95;

/// code 8 bits, destination 4, source 4, offset 16, immediate 32.
const fn instruction(code: u64, destination: u64, source: u64, offset: u64, immediate: u32) -> u64 {
    code | destination << 8 | source << 12 | offset << 16 | (immediate as u64) << 32
}

/// A word of the context, which r1 points at.
const fn load(register: u64, offset: u64) -> u64 {
    instruction(LOAD_WORD, register, 1, offset, 0)
}

const fn operate(code: u64, register: u64, value: u32) -> u64 {
    instruction(code, register, 0, 0, value)
}

const fn copy(to: u64, from: u64) -> u64 {
    instruction(COPY, to, from, 0, 0)
}

fn answer(allow: bool) -> [u64; 2] {
    [operate(SET, RESULT, allow.into()), instruction(EXIT, 0, 0, 0, 0)]
}

struct Jump {
    code: u64,
    register: u64,
    value: u32,
}

impl Jump {
    /// Over this many instructions.
    fn to(self, distance: usize) -> u64 {
        instruction(self.code, self.register, 0, distance as u64, self.value)
    }
}

#[cfg(test)]
mod tests;
