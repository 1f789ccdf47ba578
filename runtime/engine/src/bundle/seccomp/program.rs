//! Verdicts by system call, compiled to one classic BPF program (seccomp(2), Documentation/networking/filter.rst).
//!
//! The program looks at the architecture, then walks the numbers upwards: neighbours with one verdict share two
//! instructions. The kernel keeps a bitmap of numbers that are allowed whatever their arguments (Linux 5.11), so that
//! most calls never run it.

use std::collections::BTreeMap;

/// What a call is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Allow,
    Errno(i32),
    /// The first rule that fits, else the second field.
    By(Vec<Rule>, Answer),
}

/// A verdict that asks nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Allow,
    Errno(i32),
}

/// All its tests fit → its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Argument number (0 to 5) and what its lower 32 bits must be: the kernel takes these arguments as `int`.
    pub tests: Vec<(u8, Test)>,
    pub then: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    Equals(u32),
    /// One of these bits is set.
    AnyBit(u32),
}

/// The verdicts of one architecture (`AUDIT_ARCH_*`, uapi/linux/audit.h).
pub struct Table {
    pub arch: u32,
    pub verdicts: BTreeMap<u32, Verdict>,
}

/// Offsets in `struct seccomp_data` (uapi/linux/seccomp.h).
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const IF_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// A `struct sock_filter` as one word: code 16 bits, jumps if true and if false 8 each, operand 32.
fn instruction(code: u16, if_true: u8, if_false: u8, operand: u32) -> u64 {
    u64::from(code) | u64::from(if_true) << 16 | u64::from(if_false) << 24 | u64::from(operand) << 32
}

fn answer(answer: Answer) -> u64 {
    let value = match answer {
        Answer::Allow => libc::SECCOMP_RET_ALLOW,
        Answer::Errno(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
    };
    instruction(RETURN, 0, 0, value)
}

/// One program for all tables. Calls that a table does not name get `otherwise`; another architecture ends the process.
pub fn compile(tables: &[Table], otherwise: Answer) -> Vec<u64> {
    let mut code = vec![instruction(LOAD, 0, 0, ARCH)];
    for table in tables {
        let body = table_code(table, otherwise);
        // A jump over the body may be longer than the 8 bits of a conditional one.
        code.push(instruction(IF_EQUAL, 1, 0, table.arch));
        code.push(instruction(JUMP, 0, 0, body.len() as u32));
        code.extend(body);
    }
    code.push(instruction(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS));
    code
}

fn table_code(table: &Table, otherwise: Answer) -> Vec<u64> {
    let mut code = vec![instruction(LOAD, 0, 0, NUMBER)];
    for (last, verdict) in ranges(&table.verdicts, otherwise) {
        let body = match verdict {
            Verdict::Allow => vec![answer(Answer::Allow)],
            Verdict::Errno(errno) => vec![answer(Answer::Errno(*errno))],
            Verdict::By(rules, otherwise) => rules_code(rules, *otherwise),
        };
        code.push(instruction(IF_GREATER, body.len() as u8, 0, last));
        code.extend(body);
    }
    code.push(answer(otherwise));
    code
}

/// The last number of each run of calls with one verdict, in order, gaps included.
fn ranges(verdicts: &BTreeMap<u32, Verdict>, otherwise: Answer) -> Vec<(u32, &Verdict)> {
    const ENOSYS: &Verdict = &Verdict::Errno(libc::ENOSYS);
    let gap = match otherwise {
        Answer::Allow => &Verdict::Allow,
        Answer::Errno(_) => ENOSYS,
    };
    let mut all: Vec<(u32, &Verdict)> = Vec::new();
    let mut push = |last: u32, verdict| match all.last_mut() {
        Some((end, before)) if *before == verdict => *end = last,
        _ => all.push((last, verdict)),
    };
    let mut next = 0;
    for (number, verdict) in verdicts {
        if *number > next {
            push(number - 1, gap);
        }
        push(*number, verdict);
        next = number + 1;
    }
    all
}

fn rules_code(rules: &[Rule], otherwise: Answer) -> Vec<u64> {
    let mut code = Vec::new();
    for rule in rules {
        // Each test is two instructions; one that fails jumps behind the answer.
        let length = rule.tests.len() * 2 + 1;
        for (at, (argument, test)) in rule.tests.iter().enumerate() {
            let behind = (length - at * 2 - 2) as u8;
            let (jump, operand) = match test {
                Test::Equals(value) => (IF_EQUAL, *value),
                Test::AnyBit(mask) => (IF_ANY_BIT, *mask),
            };
            code.push(instruction(LOAD, 0, 0, low_word(*argument)));
            code.push(instruction(jump, 0, behind, operand));
        }
        code.push(answer(rule.then));
    }
    code.push(answer(otherwise));
    code
}

/// The offset of an argument's lower half.
fn low_word(argument: u8) -> u32 {
    ARGUMENTS + u32::from(argument) * 8 + if cfg!(target_endian = "big") { 4 } else { 0 }
}
