//! A container's namespaces out of its request: names looked up, and what does not go together refused.

use super::request::{Create, IpcRequest, PidRequest};
use crate::config::{IpcMode, Namespaces, PidMode};
use crate::instance::Instance;
use rcr_base::{Doing, Error, Kind, Outcome};

/// Looks up the containers that the request names. Changes nothing.
pub(super) fn namespaces(instance: &Instance, wanted: &Create) -> Outcome<Namespaces> {
    let asked = &wanted.namespaces;
    let names = [("--hostname", wanted.hostname.is_some()), ("--domainname", wanted.domainname.is_some())];
    if let (true, Some((flag, _))) = (asked.uts_host, names.iter().find(|(_, given)| *given)) {
        return Err(Error::new(Kind::Invalid, format!("`{flag}` can't be combined with `--uts host`"))
            .caused_by("it would change the host's own name"));
    }
    let pid = match &asked.pid {
        PidRequest::Private => PidMode::Private,
        PidRequest::Host => PidMode::Host,
        PidRequest::Container(name) => {
            let found = instance.containers().find(name);
            PidMode::Container(found.doing(|| format!("cannot see the processes of `{name}`"))?.config.id)
        }
    };
    let ipc = match &asked.ipc {
        IpcRequest::Private => IpcMode::Private,
        IpcRequest::Shareable => IpcMode::Shareable,
        IpcRequest::None => IpcMode::None,
        IpcRequest::Host => IpcMode::Host,
        IpcRequest::Container(name) => {
            let doing = || format!("cannot share the memory of `{name}`");
            let other = instance.containers().find(name).doing(doing)?.config;
            if other.namespaces.ipc != IpcMode::Shareable {
                return Err(Error::new(Kind::Invalid, doing())
                    .caused_by(format!("it runs with `--ipc {}`", other.namespaces.ipc.text()))
                    .hint("create that one with `--ipc shareable`"));
            }
            IpcMode::Container(other.id)
        }
    };
    Ok(Namespaces { pid, ipc, uts_host: asked.uts_host, cgroup_host: asked.cgroup_host })
}
