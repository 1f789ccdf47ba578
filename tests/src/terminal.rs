//! A program on a pseudo terminal, as a person would use it.

use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The person's side.
pub struct Terminal {
    master: File,
    child: Child,
    seen: Arc<Mutex<String>>,
}

impl Terminal {
    /// Starts the program on a new terminal of 30 rows and 100 columns.
    pub fn start(mut command: Command) -> Self {
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("a pseudo terminal");
        let slave = File::from(pty.slave);
        command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
        // SAFETY: setsid(2) and ioctl(2) are async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let child = command.spawn().expect("start the program");
        drop(command);
        let master = File::from(pty.master);
        let seen = Arc::new(Mutex::new(String::new()));
        let (mut reader, mut answers, sink) = (master.try_clone().unwrap(), master.try_clone().unwrap(), seen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0u8; 4096];
            while let Ok(got @ 1..) = reader.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..got]);
                // Line editors ask for the cursor's position, and wait for the answer that every terminal gives.
                if text.contains("\x1b[6n") {
                    let _ = answers.write_all(b"\x1b[1;1R");
                }
                sink.lock().unwrap().push_str(&text);
            }
        });
        Self { master, child, seen }
    }

    /// Types.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("type");
    }

    /// Changes the window's size.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCSWINSZ reads one winsize.
        let ret = unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(ret, 0);
    }

    /// The connection drops: the terminal is gone, its programs get SIGHUP.
    pub fn hang_up(&mut self) {
        let fd = self.master.as_raw_fd();
        // SAFETY: TIOCVHANGUP takes no argument, and is asked of the other side, which the kernel finds by the master.
        let other = unsafe { libc::ioctl(fd, libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY) };
        assert!(other >= 0);
        // SAFETY: the descriptor was just made, and is closed here.
        unsafe {
            assert_eq!(libc::ioctl(other, libc::TIOCVHANGUP), 0, "{}", std::io::Error::last_os_error());
            libc::close(other);
        }
    }

    /// Everything on the screen so far.
    pub fn seen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.seen().contains(text) {
            assert!(Instant::now() < until, "never saw {text:?} in {:?}", self.seen());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types ctrl-D until the program ends: what is typed while a command still runs does not reach the shell.
    #[track_caller]
    pub fn end_of_input(&mut self) -> i32 {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < until, "never ended; the screen: {:?}", self.seen());
            // It may have just ended.
            let _ = self.master.write_all(b"\x04");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits for the end; returns the exit code.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < until, "never ended; the screen: {:?}", self.seen());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
