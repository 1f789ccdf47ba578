//! Verdicts by system call, compiled to one classic BPF program (seccomp(2), Documentation/networking/filter.rst).
//!
//! The program looks at the architecture, then halves the numbers until one verdict is left. The kernel keeps a bitmap of
//! numbers that are allowed whatever their arguments (Linux 5.11), so that most calls never run it; to make that, it
//! walks through the program for every number when the filter is installed, at each start of a container.

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
    KillProcess,
    KillThread,
    /// SIGSYS.
    Trap,
    /// Allowed, with a line in the kernel's log.
    Log,
    /// A tracer is told this number.
    Trace(u16),
}

/// All its tests fit → its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Argument number (0 to 5) and what it must be.
    pub tests: Vec<(u8, Test)>,
    pub then: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// Of the lower 32 bits, as the kernel takes arguments of type `int`.
    Equals(u32),
    /// One of these bits is set.
    AnyBit(u32),
    /// Of all 64 bits.
    Whole(Compare, u64),
    /// The bits under the mask are these.
    Masked { mask: u64, value: u64 },
}

/// How a whole argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
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
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
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
        Answer::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        Answer::KillThread => libc::SECCOMP_RET_KILL_THREAD,
        Answer::Trap => libc::SECCOMP_RET_TRAP,
        Answer::Log => libc::SECCOMP_RET_LOG,
        Answer::Trace(number) => libc::SECCOMP_RET_TRACE | u32::from(number),
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
    let gap = Verdict::By(Vec::new(), otherwise);
    let mut ranges = ranges(&table.verdicts, &gap);
    // Numbers behind the last that is named.
    ranges.push((u32::MAX, &gap));
    let mut code = vec![instruction(LOAD, 0, 0, NUMBER)];
    code.extend(tree(&ranges));
    code
}

/// What finds the verdict among those of ranges, each with its last number, in order. All ways end in an answer.
fn tree(ranges: &[(u32, &Verdict)]) -> Vec<u64> {
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let Some((last, _)) = lower.last() else { return ranges.first().map_or_else(Vec::new, |(_, one)| verdict(one)) };
    let (lower, upper) = (tree(lower), tree(upper));
    let mut code = match u8::try_from(lower.len()) {
        Ok(length) => vec![instruction(IF_GREATER, length, 0, *last)],
        // Too far for a conditional jump.
        Err(_) => vec![instruction(IF_GREATER, 0, 1, *last), instruction(JUMP, 0, 0, lower.len() as u32)],
    };
    code.extend(lower);
    code.extend(upper);
    code
}

fn verdict(verdict: &Verdict) -> Vec<u64> {
    match verdict {
        Verdict::Allow => vec![answer(Answer::Allow)],
        Verdict::Errno(errno) => vec![answer(Answer::Errno(*errno))],
        Verdict::By(rules, otherwise) => rules_code(rules, *otherwise),
    }
}

/// The last number of each run of calls with one verdict, in order, gaps included.
fn ranges<'a>(verdicts: &'a BTreeMap<u32, Verdict>, gap: &'a Verdict) -> Vec<(u32, &'a Verdict)> {
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
        let tests: Vec<Vec<Step>> = rule.tests.iter().map(|(argument, test)| steps(*argument, *test)).collect();
        // One that fails jumps behind the answer.
        let mut left = tests.iter().map(Vec::len).sum::<usize>() + 1;
        for test in tests {
            let length = test.len();
            for (at, step) in test.into_iter().enumerate() {
                let to = |target: Target| match target {
                    Target::Next => 0,
                    Target::Skip(count) => count,
                    Target::Pass => (length - at - 1) as u8,
                    Target::Fail => (left - at - 1) as u8,
                };
                code.push(match step {
                    Step::Do(instruction) => instruction,
                    Step::If(jump, operand, yes, no) => instruction(jump, to(yes), to(no), operand),
                });
            }
            left -= length;
        }
        code.push(answer(rule.then));
    }
    code.push(answer(otherwise));
    code
}

/// An instruction of a test, with jumps that are not counted yet.
enum Step {
    Do(u64),
    If(u16, u32, Target, Target),
}

#[derive(Clone, Copy)]
enum Target {
    Next,
    /// Over so many instructions.
    Skip(u8),
    /// Behind this test.
    Pass,
    /// Behind the rule.
    Fail,
}

fn steps(argument: u8, test: Test) -> Vec<Step> {
    use Target::{Fail, Next, Pass, Skip};
    let low = || Step::Do(instruction(LOAD, 0, 0, low_word(argument)));
    let high = || Step::Do(instruction(LOAD, 0, 0, high_word(argument)));
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    match test {
        Test::Equals(value) => vec![low(), Step::If(IF_EQUAL, value, Next, Fail)],
        Test::AnyBit(mask) => vec![low(), Step::If(IF_ANY_BIT, mask, Next, Fail)],
        Test::Masked { mask, value } => {
            let ((mask_high, mask_low), (value_high, value_low)) = (halves(mask), halves(value));
            vec![
                high(),
                Step::Do(instruction(AND, 0, 0, mask_high)),
                Step::If(IF_EQUAL, value_high, Next, Fail),
                low(),
                Step::Do(instruction(AND, 0, 0, mask_low)),
                Step::If(IF_EQUAL, value_low, Next, Fail),
            ]
        }
        Test::Whole(compare, value) => {
            let (value_high, value_low) = halves(value);
            let end = |jump, yes, no| Step::If(jump, value_low, yes, no);
            let (differs, last) = match compare {
                Compare::Equal => (None, end(IF_EQUAL, Next, Fail)),
                Compare::NotEqual => (Some((Pass, Pass)), end(IF_EQUAL, Fail, Next)),
                Compare::Greater => (Some((Pass, Fail)), end(IF_GREATER, Next, Fail)),
                Compare::GreaterOrEqual => (Some((Pass, Fail)), end(IF_AT_LEAST, Next, Fail)),
                Compare::Less => (Some((Fail, Pass)), end(IF_AT_LEAST, Fail, Next)),
                Compare::LessOrEqual => (Some((Fail, Pass)), end(IF_GREATER, Fail, Next)),
            };
            match differs {
                None => vec![high(), Step::If(IF_EQUAL, value_high, Next, Fail), low(), last],
                // The upper half decides, unless it is the same.
                Some((greater, less)) => vec![
                    high(),
                    Step::If(IF_EQUAL, value_high, Skip(1), Next),
                    Step::If(IF_GREATER, value_high, greater, less),
                    low(),
                    last,
                ],
            }
        }
    }
}

/// The offset of an argument's upper half.
fn high_word(argument: u8) -> u32 {
    ARGUMENTS + u32::from(argument) * 8 + if cfg!(target_endian = "big") { 0 } else { 4 }
}

/// The offset of an argument's lower half.
fn low_word(argument: u8) -> u32 {
    ARGUMENTS + u32::from(argument) * 8 + if cfg!(target_endian = "big") { 4 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a program answers, as the kernel would run it.
    fn run(code: &[u64], number: u32, argument: u64) -> u32 {
        let (mut at, mut accumulator) = (0, 0u32);
        loop {
            let word = code[at];
            let (operation, yes, no) = (word as u16, (word >> 16) as u8 as usize, (word >> 24) as u8 as usize);
            let operand = (word >> 32) as u32;
            at += 1;
            let jump = |condition: bool| if condition { yes } else { no };
            at += match operation {
                LOAD => {
                    accumulator = match operand {
                        NUMBER => number,
                        ARCH => 7,
                        offset if offset == low_word(0) => argument as u32,
                        offset if offset == high_word(0) => (argument >> 32) as u32,
                        _ => 0,
                    };
                    0
                }
                AND => {
                    accumulator &= operand;
                    0
                }
                JUMP => operand as usize,
                IF_EQUAL => jump(accumulator == operand),
                IF_GREATER => jump(accumulator > operand),
                IF_AT_LEAST => jump(accumulator >= operand),
                IF_ANY_BIT => jump(accumulator & operand != 0),
                _ => return operand,
            };
        }
    }

    type Holds = fn(u64, u64) -> bool;

    #[test]
    fn whole_arguments_are_compared_in_halves() {
        let values = [0, 1, 5, 0xffff_ffff, 1 << 32, (1 << 32) + 5, 5 << 32, u64::MAX];
        for wanted in values {
            let all: [(Test, Holds); 7] = [
                (Test::Whole(Compare::Equal, wanted), |a, b| a == b),
                (Test::Whole(Compare::NotEqual, wanted), |a, b| a != b),
                (Test::Whole(Compare::Less, wanted), |a, b| a < b),
                (Test::Whole(Compare::LessOrEqual, wanted), |a, b| a <= b),
                (Test::Whole(Compare::Greater, wanted), |a, b| a > b),
                (Test::Whole(Compare::GreaterOrEqual, wanted), |a, b| a >= b),
                (Test::Masked { mask: wanted, value: wanted }, |a, b| a & b == b),
            ];
            for (test, holds) in all {
                // A second test, so that failing jumps over more than one.
                let rule = Rule { tests: vec![(0, test), (0, Test::AnyBit(u32::MAX))], then: Answer::Allow };
                let verdicts = [(3, Verdict::By(vec![rule], Answer::Errno(1)))].into();
                let code = compile(&[Table { arch: 7, verdicts }], Answer::Errno(2));
                for given in values {
                    let want = holds(given, wanted) && given as u32 != 0;
                    let want = if want { libc::SECCOMP_RET_ALLOW } else { libc::SECCOMP_RET_ERRNO | 1 };
                    assert_eq!(run(&code, 3, given), want, "{test:?} of {given:#x}");
                }
                assert_eq!(run(&code, 2, 0), libc::SECCOMP_RET_ERRNO | 2);
            }
        }
    }

    #[test]
    fn each_number_has_its_own_verdict_among_many() {
        let verdict = |number: u32| match number % 7 {
            0 => Verdict::Allow,
            1 => Verdict::By(vec![], Answer::Errno(3)),
            other => Verdict::Errno(other as i32 + 10),
        };
        let named = |number: &u32| !number.is_multiple_of(5);
        let verdicts = (0..500).filter(named).map(|number| (number, verdict(number))).collect();
        let code = compile(&[Table { arch: 7, verdicts }], Answer::Errno(2));
        for number in (0..600).chain([u32::MAX]) {
            let known = Some(number).filter(named).filter(|number| *number < 500).map(verdict);
            let want = match known {
                Some(Verdict::Allow) => libc::SECCOMP_RET_ALLOW,
                Some(Verdict::Errno(errno)) => libc::SECCOMP_RET_ERRNO | errno as u32,
                Some(Verdict::By(..)) => libc::SECCOMP_RET_ERRNO | 3,
                None => libc::SECCOMP_RET_ERRNO | 2,
            };
            assert_eq!(run(&code, number, 0), want, "{number}");
        }
    }

    #[test]
    fn many_rules_of_one_call_are_jumped_over() {
        let rule = |value| Rule { tests: vec![(0, Test::Whole(Compare::Equal, value))], then: Answer::Allow };
        let verdicts = [(3, Verdict::By((0..200).map(rule).collect(), Answer::Errno(1))), (4, Verdict::Allow)].into();
        let code = compile(&[Table { arch: 7, verdicts }], Answer::Errno(2));
        assert_eq!(run(&code, 4, 0), libc::SECCOMP_RET_ALLOW);
        assert_eq!((run(&code, 3, 199), run(&code, 3, 200)), (libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_ERRNO | 1));
    }
}
