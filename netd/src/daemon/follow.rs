//! What a shim's connection brings while its container runs: its health, its end, and who asks for names by TCP. The
//! shim waits for these in our stead, and passes their connections on.

use super::host::Host;
use super::input::Input;
use super::records::Sandbox;
use super::shim_link::{LISTENS, ShimLink, health_in};
use crate::kernel::{receive_fd, send_fd};
use std::io;
use tokio::io::Interest;

impl Host {
    /// Waits for a shim's end in the background, lends it the resolver's listening socket, and takes from it what comes
    /// by that.
    pub(super) fn follow(&self, sandbox: &mut Sandbox, shim: ShimLink) {
        let (id, generation, inbox) = (sandbox.record.id.clone(), sandbox.generation, self.sender.clone());
        let ShimLink { stream, listens, .. } = shim;
        let door = sandbox.service.as_mut().filter(|_| listens).and_then(|service| {
            // What can't be lent stays here.
            service.lend(|socket| send_fd(&stream, &[LISTENS], socket)).ok()?;
            Some(service.door())
        });
        let _inside = self.runtime.enter();
        let stream = stream.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(stream));
        let Ok(stream) = stream else { return };
        self.runtime.spawn(async move {
            loop {
                let mut buffer = [0u8; 64];
                let got = match stream.readable().await {
                    Ok(()) => stream.try_io(Interest::READABLE, || receive_fd(&stream, &mut buffer)),
                    Err(error) => Err(error),
                };
                match got {
                    Ok((got, connection)) => {
                        if let (Some(door), Some(connection)) = (&door, connection) {
                            door.let_in(connection);
                        }
                        if let Some(healthy) = health_in(&buffer[..got]) {
                            let _ = inbox.send(Input::Health(id.clone(), generation, healthy));
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
            // The writer may be gone with netd.
            let _ = inbox.send(Input::ShimGone(id, generation));
        });
    }
}
