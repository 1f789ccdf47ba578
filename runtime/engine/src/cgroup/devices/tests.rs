//! The program is run by a small interpreter, so that what is tested is its answer, not its bytes.

use super::*;
use oci_spec::runtime::LinuxDeviceCgroupBuilder;

/// Runs a program as the kernel would; panics where the verifier would refuse.
fn ask(code: &[u64], kind: u32, major: u32, minor: u32, access: u32) -> bool {
    let context = [kind | access << 16, major, minor];
    let mut registers = [0u64; 11];
    let mut at = 0;
    loop {
        let word = code[at];
        let (opcode, to, from) = (word & 0xff, (word >> 8 & 15) as usize, (word >> 12 & 15) as usize);
        let (offset, value) = ((word >> 16 & 0xffff) as usize, word >> 32);
        at += 1;
        match opcode {
            LOAD_WORD => registers[to] = context[offset / 4].into(),
            AND => registers[to] &= value,
            SHIFT_RIGHT => registers[to] >>= value,
            COPY => registers[to] = registers[from],
            SET => registers[to] = value,
            JUMP_EQUAL if registers[to] == value => at += offset,
            JUMP_NOT_EQUAL if registers[to] != value => at += offset,
            JUMP_EQUAL | JUMP_NOT_EQUAL => {}
            EXIT => return registers[0] == 1,
            other => panic!("operation {other:#x}"),
        }
    }
}

/// Every instruction is reached: the verifier refuses a program of which this is not true.
fn assert_reachable(code: &[u64]) {
    let mut seen = vec![false; code.len()];
    let mut ways = vec![0];
    while let Some(mut at) = ways.pop() {
        while at < code.len() && !seen[at] {
            seen[at] = true;
            let word = code[at];
            match word & 0xff {
                EXIT => break,
                JUMP_EQUAL | JUMP_NOT_EQUAL => ways.push(at + 1 + (word >> 16 & 0xffff) as usize),
                _ => {}
            }
            at += 1;
        }
    }
    assert!(seen.iter().all(|s| *s), "{seen:?}");
}

fn everything(allow: bool) -> LinuxDeviceCgroup {
    LinuxDeviceCgroupBuilder::default().allow(allow).typ(LinuxDeviceType::A).access("rwm").build().unwrap()
}

#[test]
fn a_default_container_has_its_own_devices_and_no_disk() {
    let code = program(&rules(&[everything(false)])).unwrap();
    assert_reachable(&code);
    assert!(ask(&code, CHARACTER, 1, 3, READ | WRITE), "/dev/null");
    assert!(ask(&code, CHARACTER, 136, 7, READ | WRITE), "/dev/pts/7");
    assert!(ask(&code, BLOCK, 8, 0, MKNOD), "a node may be made");
    assert!(!ask(&code, BLOCK, 8, 0, READ), "a disk");
    assert!(!ask(&code, BLOCK, 8, 0, MKNOD | READ), "a disk, with what is allowed beside what is not");
    assert!(!ask(&code, BLOCK, 1, 3, READ), "a block device with the numbers of /dev/null");
    assert!(!ask(&code, CHARACTER, 1, 11, READ), "/dev/kmsg");
}

#[test]
fn a_privileged_container_needs_no_program() {
    assert_eq!(program(&rules(&[everything(true)])), None);
    assert_eq!(program(&rules(&[everything(false), everything(true)])), None);
    assert!(program(&rules(&[everything(true), everything(false)])).is_some());
}

#[test]
fn the_last_rule_that_fits_decides() {
    let disk = |allow, access: &str| {
        let builder = LinuxDeviceCgroupBuilder::default().allow(allow).typ(LinuxDeviceType::B).major(8i64).minor(0i64);
        rule(&builder.access(access).build().unwrap())
    };
    let code = program(&[disk(true, "rw"), disk(false, "w")]).unwrap();
    assert_reachable(&code);
    assert!(ask(&code, BLOCK, 8, 0, READ));
    assert!(!ask(&code, BLOCK, 8, 0, WRITE));
    assert!(!ask(&code, BLOCK, 8, 0, READ | WRITE));
    assert!(!ask(&code, BLOCK, 8, 1, READ), "another minor");
    assert!(!ask(&code, CHARACTER, 8, 0, READ), "another type");
}

#[test]
fn what_comes_before_a_rule_for_all_is_left_out() {
    let code = program(&[DEFAULT[0], rule(&everything(false))]).unwrap();
    assert_reachable(&code);
    assert!(!ask(&code, CHARACTER, 1, 3, READ));
}

#[test]
fn the_encoding_is_the_kernels() {
    // r2 = *(u32 *)(r1 + 0); if r4 != 8 goto +2
    assert_eq!(load(KIND, 0).to_ne_bytes(), [0x61, 0x12, 0, 0, 0, 0, 0, 0]);
    let jump = Jump { code: JUMP_NOT_EQUAL, register: MAJOR, value: 8 }.to(2);
    assert_eq!(jump.to_ne_bytes(), [0x55, 0x04, 2, 0, 8, 0, 0, 0]);
}

#[test]
fn on_v1_only_a_rule_for_everything_is_an_a() {
    let all = [everything(false)];
    assert_eq!(lines(&rules(&all)[0]), ["a *:* rwm"]);
    assert_eq!(lines(&rules(&all)[1]), ["c 1:3 rwm"]);
    let both = Rule { allow: true, kind: None, major: Some(8), minor: None, access: READ };
    assert_eq!(lines(&both), ["b 8:* r", "c 8:* r"]);
    assert_eq!(lines(&Rule { major: None, ..both }), ["b *:* r", "c *:* r"]);
}
