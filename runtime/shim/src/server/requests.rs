//! What clients ask for, and what becomes of it.

use super::super::client::{Event, Role};
use super::super::protocol::{Request, Response};
use super::Shim;
use crate::sys::signal;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

impl Shim {
    pub(super) fn on_client(&mut self, index: usize) {
        self.clients[index].flush();
        for event in self.clients[index].read() {
            match event {
                Event::Netns => {
                    self.clients[index].answer_netns(self.netns.as_ref(), self.told_healthy);
                    self.tidy_soon();
                }
                Event::Request(request) => self.on_request(index, request),
                Event::Frame(kind, payload) => self.on_frame(index, kind, &payload),
                Event::Malformed(why) => self.clients[index].answer(&Response::Error(why)),
                Event::Closed => self.clients[index].gone = true,
            }
        }
        self.clients[index].flush();
    }

    fn on_request(&mut self, index: usize, request: Request) {
        match request {
            Request::Attach { .. } => {}
            Request::Wait => self.clients[index].role = Role::Waiting,
            Request::Kill { signal } => {
                let ends = [libc::SIGKILL, self.config.stop_signal].contains(&signal);
                let response = self.kill(signal);
                if ends {
                    self.give_up_restarting();
                    self.wake();
                }
                self.clients[index].answer(&response);
            }
            Request::Stop { signal, timeout, remove } => {
                self.clients[index].role = Role::Waiting;
                if remove.is_some() {
                    self.config.remove = remove;
                }
                self.stop(signal, timeout);
            }
            Request::Pause => {
                let response = self.pause();
                self.clients[index].answer(&response);
            }
            Request::Unpause => {
                let response = self.unpause();
                self.clients[index].answer(&response);
            }
            Request::Update { restart } => {
                self.config.restart = restart;
                self.clients[index].answer(&Response::Ok);
            }
            Request::Forget => {
                self.config.remove = None;
                self.clients[index].answer(&Response::Ok);
            }
            Request::Rename { name } => {
                self.rename(name);
                self.clients[index].answer(&Response::Ok);
            }
        }
    }

    pub(super) fn kill(&self, signal: i32) -> Response {
        match &self.running {
            None => Response::Error("the container is not running".into()),
            Some(running) => match signal::send(running.pidfd.as_fd(), signal) {
                Ok(()) => {
                    self.note("kill", &[("signal", signal.to_string())]);
                    Response::Ok
                }
                Err(errno) => Response::Error(format!("signal {signal}: {}", errno.desc())),
            },
        }
    }

    pub(super) fn stop(&mut self, signal: i32, timeout: i64) {
        self.give_up_restarting();
        let _ = self.kill(signal);
        self.wake();
        // SIGKILL needs no second one.
        if let Some(seconds) = u64::try_from(timeout).ok().filter(|_| signal != libc::SIGKILL) {
            self.kill_at = Some(Instant::now() + Duration::from_secs(seconds));
        }
    }

    fn give_up_restarting(&mut self) {
        self.stopping = true;
        self.state.stopped_by_user = true;
    }
}
