//! `rcr pause`: all processes of the container at a halt.

use super::Shim;
use crate::freezer::Freezer;
use crate::protocol::Response;
use crate::state::Status;
use std::io;

impl Shim {
    /// While they come to a halt they write nothing, and nobody else waits for long.
    pub(super) fn pause(&mut self) -> Response {
        if self.state.status != Status::Running {
            return Response::Error("it is not running".into());
        }
        let Some(freezer) = Freezer::of(&self.config.cgroup) else {
            return Response::Error("this kernel has neither cgroup v2 nor the controller `freezer` of v1".into());
        };
        // A check in the middle would be frozen, too, and taken for one that is too slow.
        if let Some(checks) = &mut self.checks {
            checks.stop();
        }
        match freezer.freeze() {
            Ok(()) => {
                self.state.status = Status::Paused;
                self.save();
                self.note("pause", &[]);
                Response::Ok
            }
            Err(error) => {
                self.check_again();
                Response::Error(match error.kind() {
                    io::ErrorKind::TimedOut => "a process of it does not come to a halt".into(),
                    _ => rcr_base::io_text(&error),
                })
            }
        }
    }

    pub(super) fn unpause(&mut self) -> Response {
        if self.state.status != Status::Paused {
            return Response::Error("it is not paused".into());
        }
        match Freezer::of(&self.config.cgroup).map_or(Ok(()), |freezer| freezer.thaw()) {
            Ok(()) => {
                self.state.status = Status::Running;
                self.check_again();
                self.save();
                self.note("unpause", &[]);
                Response::Ok
            }
            Err(error) => Response::Error(rcr_base::io_text(&error)),
        }
    }

    fn check_again(&mut self) {
        if let Some(checks) = &mut self.checks {
            checks.go_on();
        }
    }

    /// A signal that ends it reaches nobody who is frozen.
    pub(super) fn wake(&mut self) {
        if self.state.status == Status::Paused {
            let _ = self.unpause();
        }
    }
}
