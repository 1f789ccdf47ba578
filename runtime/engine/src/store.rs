//! Where containers are kept: `<root>/containers/<id>`, `<root>/names/<name>`, `<run>/containers/<id>`.

use crate::config::{CONFIG_NAME, CONFIG_VERSION, Config};
use crate::dirs::{Dirs, shared_folder};
use netd_api::ContainerId;
use rcr_base::{Doing, Error, Kind, Outcome, SmallFiles, command};
use rcr_shim::cleanup::remove_folder;
use rcr_shim::process::ProcessId;
use rcr_shim::state::STATE_NAME;
pub use rcr_shim::state::{State, Status};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// So many containers are read by all processors at once.
const MANY: usize = 64;

/// A container with its state.
#[derive(Debug, Clone)]
pub struct Container {
    /// What it was asked to be.
    pub config: Config,
    /// How it is.
    pub state: State,
}

/// The two folders that hold those of containers, open.
struct Folders {
    kept: OwnedFd,
    /// Absent after a reboot.
    run: Option<OwnedFd>,
}

impl Folders {
    fn open(dirs: &Dirs) -> Outcome<Self> {
        let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let run = match open(&dirs.containers_run()) {
            Err(Errno::NOENT) => None,
            other => Some(other.doing(|| "cannot look for running containers")?),
        };
        Ok(Self { kept: open(&dirs.containers()).doing(|| "cannot look for containers")?, run })
    }
}

/// Reads and writes containers.
pub struct Containers<'a> {
    /// The instance's folders.
    pub dirs: &'a Dirs,
}

impl Containers<'_> {
    /// Takes the name, atomically (link(2) of a complete file). The file holds the container's id and the process that
    /// makes the container: a name that belongs to neither a container nor a living process was left by a crash, and is
    /// free. `durable`: it outlives a power cut, as a container without `--rm` does.
    pub fn take_name(&self, name: &str, id: &ContainerId, durable: bool) -> Outcome<()> {
        let doing = || format!("cannot take the container name `{name}`");
        shared_folder(&self.dirs.names()).doing(|| "cannot create the folder of names")?;
        let path = self.dirs.names().join(name);
        let temporary = self.dirs.names().join(format!(".{}", id.as_str()));
        let maker = ProcessId::of(std::process::id() as i32);
        let text =
            format!("{}\n{}", id.as_str(), maker.map(|m| format!("{} {}\n", m.pid, m.start)).unwrap_or_default());
        let write = || -> io::Result<()> {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&temporary)?;
            file.write_all(text.as_bytes())?;
            if durable { file.sync_all() } else { Ok(()) }
        };
        let take = || loop {
            match fs::hard_link(&temporary, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.is_left_over(&path) => {
                    fs::remove_file(&path)?;
                }
                other => return other,
            }
        };
        let taken = write().and_then(|()| take());
        let _ = fs::remove_file(&temporary);
        match taken {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let holder = fs::read_to_string(&path).unwrap_or_default();
                Err(Error::new(Kind::InUse, format!("the container name `{name}` is in use"))
                    .caused_by(format!("container `{}` has it", holder.get(..12).unwrap_or("(unknown)")))
                    .hint(format!("remove it with {}, or choose another name", command::rm(name))))
            }
            other => other.doing(doing),
        }
    }

    /// Whether a name belongs to nobody: to no container with a config, and to no living process that is about to write
    /// one.
    fn is_left_over(&self, path: &Path) -> bool {
        let Ok(text) = fs::read_to_string(path) else { return false };
        let mut lines = text.lines();
        let id = lines.next().and_then(|line| line.parse::<ContainerId>().ok());
        let has_container = id.is_some_and(|id| self.dirs.container(&id).join(CONFIG_NAME).exists());
        let maker = lines.next().and_then(|line| {
            let (pid, start) = line.split_once(' ')?;
            Some(ProcessId { pid: pid.parse().ok()?, start: start.parse().ok()? })
        });
        !has_container && !maker.is_some_and(|maker| maker.is_alive())
    }

    /// Gives the name back.
    pub fn release_name(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.dirs.names().join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Writes the config, whole or not at all.
    pub fn save(&self, config: &Config) -> Outcome<()> {
        let folder = self.dirs.container(&config.id);
        let write = || -> io::Result<()> {
            shared_folder(&folder)?;
            let temporary = folder.join(format!(".{CONFIG_NAME}"));
            fs::write(&temporary, serde_json::to_vec(config)?)?;
            // A container that outlives a power cut must be readable after it; one with `--rm` need not be.
            if !config.auto_remove {
                fs::File::open(&temporary)?.sync_all()?;
            }
            fs::rename(temporary, folder.join(CONFIG_NAME))
        };
        write().doing(|| format!("cannot save the container `{}`", config.name))
    }

    /// Writes a fresh state.
    pub fn save_state(&self, id: &ContainerId, state: &State) -> Outcome<()> {
        let folder = self.dirs.container_run(id);
        shared_folder(&folder)
            .and_then(|()| state.write(&folder))
            .doing(|| format!("cannot save the state of `{}`", id.short()))
    }

    /// All containers, oldest first. Unreadable ones are left out here; [`Containers::find`] names them.
    pub fn list(&self) -> Outcome<Vec<Container>> {
        let entries = match fs::read_dir(self.dirs.containers()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.doing(|| "cannot list containers")?,
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let ids: Vec<ContainerId> = names.filter_map(|name| name.parse().ok()).collect();
        let folders = Folders::open(self.dirs)?;
        let load_into = |all: &mut Vec<Container>, ids: &[ContainerId]| {
            let mut files = SmallFiles::default();
            all.extend(ids.iter().filter_map(|id| self.load_by(&mut files, &folders, id).ok()));
        };
        let mut all = Vec::with_capacity(ids.len());
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        if ids.len() < MANY || processors == 1 {
            load_into(&mut all, &ids);
        } else {
            std::thread::scope(|scope| {
                let (own, others) = ids.split_at(ids.len().div_ceil(processors));
                let parts = others.chunks(own.len());
                let load = |part: &[ContainerId]| {
                    let mut all = Vec::with_capacity(part.len());
                    load_into(&mut all, part);
                    all
                };
                let threads: Vec<_> = parts.map(|part| scope.spawn(move || load(part))).collect();
                load_into(&mut all, own);
                threads.into_iter().for_each(|thread| all.append(&mut thread.join().unwrap_or_default()));
            });
        }
        // A container is a large value: each is moved once.
        all.sort_by_cached_key(|container| container.config.created.clone());
        Ok(all)
    }

    /// Reads one container.
    pub fn load(&self, id: &ContainerId) -> Outcome<Container> {
        self.load_by(&mut SmallFiles::default(), &Folders::open(self.dirs)?, id)
    }

    fn load_by(&self, files: &mut SmallFiles, folders: &Folders, id: &ContainerId) -> Outcome<Container> {
        let doing = || format!("cannot read the container `{}`", id.short());
        let (_, bytes) = files.read(&folders.kept, format!("{id}/{CONFIG_NAME}")).doing(doing)?;
        let config: Config = serde_json::from_slice(bytes).map_err(|error| {
            Error::new(Kind::System, doing())
                .caused_by(format!("`{}`: {error}", self.dirs.container(id).join(CONFIG_NAME).display()))
                .hint(format!("remove it with `rm -r {}`", self.dirs.container(id).display()))
        })?;
        if config.version > CONFIG_VERSION {
            return Err(Error::new(Kind::Version, doing())
                .caused_by(format!("it was written by a newer rcr (format version {})", config.version))
                .hint("upgrade rcr"));
        }
        // After a reboot only the copy exists; after a power cut it may be cut short, and is ignored.
        let path = format!("{id}/{STATE_NAME}");
        let state = match &folders.run {
            Some(run) => State::read_by(files, run, &path).doing(doing)?,
            None => None,
        };
        let state = state.or_else(|| State::read_by(files, &folders.kept, &path).ok().flatten());
        Ok(Container { config, state: state.unwrap_or_else(State::created) })
    }

    /// By name, id, or an unambiguous prefix of an id.
    pub fn find(&self, wanted: &str) -> Outcome<Container> {
        let missing = || {
            Error::new(Kind::NotFound, format!("no such container: `{wanted}`"))
                .hint(format!("{} lists all containers", command::list_containers()))
        };
        // Only what can be a name is looked up as a file.
        if !wanted.is_empty() && !wanted.starts_with('.') && !wanted.contains('/') {
            match fs::read_to_string(self.dirs.names().join(wanted)) {
                Ok(text) => {
                    let id = text.lines().next().and_then(|line| line.parse::<ContainerId>().ok());
                    // A name without a container was left by a crash; the next container of that name takes it over.
                    if let Some(id) = id.filter(|id| self.dirs.container(id).join(CONFIG_NAME).exists()) {
                        return self.load(&id);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(error).doing(|| format!("cannot look for the container `{wanted}`"));
                }
                Err(_) => {}
            }
        }
        if wanted.is_empty() || !wanted.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(missing());
        }
        let mut hits = fs::read_dir(self.dirs.containers())
            .map_err(|_| missing())?
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with(wanted))
            .filter_map(|name| name.parse::<ContainerId>().ok());
        match (hits.next(), hits.next()) {
            (Some(id), None) => self.load(&id),
            (None, _) => Err(missing()),
            (Some(_), Some(_)) => Err(Error::new(Kind::Invalid, format!("`{wanted}` matches several container ids"))),
        }
    }

    /// Removes all files of a container; the name goes last, so that the rest can still be found by it.
    pub fn remove(&self, config: &Config) -> Outcome<()> {
        let doing = || format!("cannot remove the container `{}`", config.name);
        remove_folder(&self.dirs.container_run(&config.id)).doing(doing)?;
        remove_folder(&self.dirs.container(&config.id)).doing(doing)?;
        self.release_name(&config.name).doing(doing)
    }
}
