//! How a sandbox knows its container's network namespace: by a descriptor, or by its resolver's socket, which was opened
//! in that namespace and keeps it. A number (a pid, an inode) is never what it is known by: those are given out again.

use super::records::{Namespace, Sandbox, Sandboxes};
use crate::kernel::KernelError;
use netd_api::ContainerId;
use std::io;
use std::os::fd::OwnedFd;

impl Sandbox {
    /// Whether the container has a namespace of its own.
    pub fn has_netns(&self) -> bool {
        !matches!(self.namespace, Namespace::Host)
    }

    /// Its own namespace, opened for who asks; nothing where it has the host's.
    pub fn netns(&self) -> io::Result<Option<OwnedFd>> {
        match (&self.namespace, &self.service) {
            (Namespace::Host, _) => Ok(None),
            (Namespace::Kept(fd), _) => fd.try_clone().map(Some),
            (Namespace::Resolver, Some(service)) => service.namespace().map(Some),
            (Namespace::Resolver, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Lets the descriptor go, if the resolver leads there as well: one less for each container.
    pub fn know_by_resolver(&mut self) {
        if let Some(service) = &self.service
            && self.has_netns()
            && service.namespace().is_ok()
        {
            self.namespace = Namespace::Resolver;
        }
    }
}

/// See [`Sandbox::netns`].
pub fn opened(sandbox: &Sandbox) -> Result<Option<OwnedFd>, KernelError> {
    sandbox.netns().map_err(|error| KernelError::io("open the container's network namespace", &error))
}

impl Sandboxes {
    /// The namespace of a container that has one of its own and is known.
    pub fn netns_of(&self, id: &ContainerId) -> Option<OwnedFd> {
        self.get(id)?.netns().ok().flatten()
    }
}
