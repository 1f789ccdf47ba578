//! What a container's programs may do by default: as much as the programs of ordinary images need.
#![allow(clippy::unwrap_used)]

use tests::Host;
use tests::images::layered;

/// `CAP_NET_RAW`, effective (struct vfs_cap_data, uapi/linux/capability.h).
const FILE_CAPABILITY: &str = "0x0100000200200000000000000000000000000000";

/// Says as whom it runs, and with which capabilities.
const PROGRAM_OF_POWERS: &str = r#"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    printf("%d ", geteuid());
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "CapEff:\t", 8)) printf("%s", line + 8);
    return 0;
}
"#;

#[test]
fn setuid_programs_and_file_capabilities_work_unless_they_are_switched_off() {
    let host = Host::new();
    std::fs::write(host.scratch().join("powers.c"), PROGRAM_OF_POWERS).unwrap();
    let script = format!(
        "mkdir bin; gcc -static -o bin/as-root ../../powers.c; chmod 4755 bin/as-root; gcc -static -o bin/capable ../../powers.c; \
         setfattr -n security.capability -v {FILE_CAPABILITY} bin/capable"
    );
    layered(&host, "powers", &script, r#"{"Cmd":["sh"]}"#);
    let sh = |flags: &[&str], script: &str| {
        let mut args = vec!["run", "--rm", "--network", "none", "-u", "1000"];
        args.extend(flags);
        args.extend(["powers", "sh", "-c", script]);
        host.rcr(&args)
    };
    assert_eq!(sh(&[], "/bin/as-root").out(), "0 00000000a80425fb");
    assert_eq!(sh(&[], "/bin/capable").out(), "1000 0000000000002000");
    let strict = ["--security-opt", "no-new-privileges"];
    assert_eq!(sh(&strict, "/bin/as-root").out(), "1000 0000000000000000");
    assert_eq!(sh(&strict, "/bin/capable").out(), "1000 0000000000000000");
    assert_eq!(sh(&["--cap-drop", "ALL"], "/bin/capable").code, 126, "the kernel refuses it outside the bounding set");
    let mut careful = Host::new();
    careful.configure("[security]\nno_new_privileges = true\n");
    assert_eq!(careful.sh(&["--network", "none"], "grep NoNewPrivs /proc/self/status | cut -f2"), "1");
    // `info` says what holds here.
    assert!(careful.ok(&["info"]).contains("no-new-privileges") && !host.ok(&["info"]).contains("no-new-privileges"));
    let undone = ["--network", "none", "--security-opt", "no-new-privileges=false"];
    assert_eq!(careful.sh(&undone, "grep NoNewPrivs /proc/self/status | cut -f2"), "0");
    // The same for a further program.
    host.ok(&["run", "-d", "--name", "c", "--network", "none", "powers", "sleep", "1000"]);
    assert_eq!(host.ok(&["exec", "-u", "1000", "c", "/bin/capable"]), "1000 0000000000002000");
}

/// A program of 32-bit x86 in assembler: says what three calls were answered.
const PROGRAM: &str = r#"
.globl _start
.data
text: .ascii "32-bit runs\n"
.text
answer:                         # the errno of the last call, as a letter after '@'
    neg %eax
    add $'@', %al
    mov %al, text
    movb $'\n', text + 1
    mov $4, %eax; mov $1, %ebx; mov $text, %ecx; mov $2, %edx; int $0x80
    ret
_start:
    mov $4, %eax; mov $1, %ebx; mov $text, %ecx; mov $12, %edx; int $0x80
    mov $435, %eax; xor %ebx, %ebx; xor %ecx, %ecx; int $0x80          # clone3
    call answer
    mov $310, %eax; mov $0x10000000, %ebx; int $0x80                   # unshare(CLONE_NEWUSER)
    call answer
    mov $359, %eax; mov $38, %ebx; mov $5, %ecx; xor %edx, %edx; int $0x80  # socket(AF_ALG)
    call answer
    mov $1, %eax; xor %ebx, %ebx; int $0x80
"#;

#[test]
fn programs_of_32_bits_run() {
    let host = Host::new();
    let folder = host.scratch();
    std::fs::write(folder.join("p.s"), PROGRAM).unwrap();
    let build = "as --32 -o p.o p.s && ld -m elf_i386 -o p32 p.o";
    let built = std::process::Command::new("sh").args(["-c", build]).current_dir(&folder).status().unwrap();
    assert!(built.success(), "binutils are needed");
    let bound = format!("{}:/p32", folder.join("p32").display());
    // ENOSYS is 38 ('f'), EPERM 1 ('A'), EAFNOSUPPORT 97 (0xa1).
    let mut command = host.command(&["run", "--rm", "--network", "none", "-v", &bound, "alpine", "/p32"]);
    let output = command.output().unwrap();
    assert_eq!(output.stdout, b"32-bit runs\nf\nA\n\xa1\n", "{output:?}");
}

#[test]
fn packet_sockets_are_for_those_who_ask() {
    let host = Host::new();
    host.ok(&["network", "create", "n"]);
    // busybox's arping opens one.
    let arping = |flags: &[&str]| {
        let mut args = vec!["run", "--rm", "--network", "n"];
        args.extend(flags);
        args.extend(["alpine", "sh", "-c", "arping -c 1 -w 1 -I eth0 $(ip route | cut -d' ' -f3 | head -n 1) 2>&1"]);
        host.rcr(&args).stdout
    };
    let refused = arping(&[]);
    assert!(refused.to_lowercase().contains("not permitted"), "{refused}");
    assert!(arping(&["--cap-add", "NET_RAW"]).contains("reply"));
}
