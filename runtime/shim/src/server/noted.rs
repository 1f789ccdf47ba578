//! What is written down of the container's life (`rcr_base::events`).

use super::Shim;
use crate::health::HealthStatus;

impl Shim {
    /// Something has happened to the container.
    pub(super) fn note(&self, action: &str, more: &[(&str, String)]) {
        if let Some(noted) = &self.config.noted {
            noted.container.note_with(action, more);
        }
    }

    /// Its program runs. Its volumes stay mounted from its first run on.
    pub(super) fn note_start(&self) {
        let volumes = self.config.noted.iter().flat_map(|noted| &noted.volumes);
        for volume in volumes.filter(|_| self.state.restart_count == 0) {
            let how: Vec<_> = volume.mount.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
            volume.subject.note_with("mount", &how);
        }
        self.note("start", &[]);
    }

    /// Its program has ended.
    pub(super) fn note_death(&self, code: i32) {
        if self.state.oom_killed {
            self.note("oom", &[]);
        }
        let seconds = self.started.elapsed().as_secs();
        self.note("die", &[("execDuration", seconds.to_string()), ("exitCode", code.to_string())]);
    }

    /// It has ended for good.
    pub(super) fn note_end(&self) {
        self.config.noted.iter().flat_map(|noted| &noted.volumes).for_each(|volume| volume.subject.note("unmount"));
    }

    /// All of it was removed.
    pub(super) fn note_removal(&self) {
        let folders = || self.config.remove.iter().flat_map(|paths| &paths.folders);
        for volume in self.config.noted.iter().flat_map(|noted| &noted.volumes).filter(|volume| volume.goes_along) {
            // Another container may have taken it, too: then it stays.
            if !folders().any(|folder| folder.ends_with(&volume.subject.id) && folder.exists()) {
                volume.subject.note("destroy");
            }
        }
        self.note("destroy", &[]);
    }

    /// Its check says something else than before.
    pub(super) fn note_health(&self, status: HealthStatus) {
        self.note(&format!("health_status: {}", status.name()), &[]);
    }

    /// It is called something else from now on.
    pub(super) fn rename(&mut self, name: String) {
        if let Some(noted) = &mut self.config.noted {
            noted.container.attributes.insert("name".into(), name);
        }
    }
}
