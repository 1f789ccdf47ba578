//! Devices by name, `vendor.com/class=name`: a vendor's program writes down in /etc/cdi or /var/run/cdi what belongs to
//! each (Container Device Interface). The files are read at every start, since drivers change.

use crate::bundle::Device;
use crate::config::{Config, Mount, MountKind, Propagation};
use crate::create::env;
use crate::start::facts;
use rcr_base::{Doing, Error, Kind, Outcome};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file that is larger is none (bytes).
const LARGEST: u64 = 4 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    kind: String,
    devices: Vec<Named>,
    #[serde(default)]
    container_edits: Edits,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    name: String,
    #[serde(default)]
    container_edits: Edits,
}

/// What a device changes in a container.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Edits {
    env: Vec<String>,
    device_nodes: Vec<Node>,
    mounts: Vec<Bound>,
    hooks: Vec<Hook>,
    #[serde(rename = "additionalGIDs")]
    additional_gids: Vec<u32>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    path: PathBuf,
    host_path: Option<PathBuf>,
    permissions: Option<String>,
    file_mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bound {
    host_path: PathBuf,
    container_path: String,
    #[serde(default)]
    options: Vec<String>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hook {
    hook_name: String,
    path: String,
}

/// A container's config with what its named devices add, and their nodes.
pub fn applied(folders: &[PathBuf], config: &Config) -> Outcome<(Config, Vec<Device>)> {
    let (mut config, mut nodes) = (config.clone(), Vec::new());
    for name in config.named_devices.clone() {
        let doing = || format!("cannot give the device `{name}`");
        for edits in find(folders, &name).doing(doing)? {
            if let Some(hook) = edits.hooks.first() {
                return Err(Error::new(Kind::Invalid, doing())
                    .caused_by(format!("its spec wants `{}` to be run as a {} hook", hook.path, hook.hook_name))
                    .hint(
                        "rcr runs no hooks: a spec without them, or `--device` and `-v` by hand, gives the same files",
                    ));
            }
            for node in &edits.device_nodes {
                nodes.push(device(node).doing(doing)?);
            }
            config.mounts.extend(edits.mounts.iter().map(bound));
            config.process.group_add.extend(edits.additional_gids);
            edits.env.into_iter().for_each(|variable| env::set(&mut config.process.env, variable));
        }
    }
    Ok((config, nodes))
}

/// The edits of one device: those of all devices of its kind, then its own.
fn find(folders: &[PathBuf], name: &str) -> Outcome<[Edits; 2]> {
    let (kind, device) = name.split_once('=').unwrap_or((name, ""));
    let mut known = BTreeMap::new();
    let mut others = Vec::new();
    for folder in folders {
        for file in files(folder, &mut others) {
            let spec = read(&file)?;
            if spec.kind == kind {
                // A later folder goes before an earlier one.
                known.extend(
                    spec.devices.into_iter().map(|d| (d.name, [spec.container_edits.clone(), d.container_edits])),
                );
            }
        }
    }
    if let Some(found) = known.remove(device) {
        return Ok(found);
    }
    let list = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" and ");
    let why = match known.is_empty() {
        true => format!("no spec (*.json) in {list} is about `{kind}`"),
        false => format!("its kind has {}", known.into_keys().collect::<Vec<_>>().join(", ")),
    };
    let hint = match (others.first(), kind) {
        (Some(yaml), _) => format!("`{}` is not read: specs are JSON here", yaml.display()),
        (None, "nvidia.com/gpu") => {
            "`nvidia-ctk cdi generate --format=json --output=/etc/cdi/nvidia.json` writes one, where the driver is"
                .into()
        }
        _ => "the device's vendor has a program that writes one".into(),
    };
    Err(Error::new(Kind::NotFound, "there is no such device").caused_by(why).hint(hint))
}

/// Specs in the order of their names; `others`: those in a form that is not read.
fn files(folder: &Path, others: &mut Vec<PathBuf>) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<PathBuf> = entries.collect();
    all.sort();
    let ends = |path: &Path, list: &[&str]| path.extension().is_some_and(|end| list.iter().any(|known| end == *known));
    others.extend(all.iter().filter(|path| ends(path, &["yaml", "yml"])).cloned());
    all.retain(|path| ends(path, &["json"]));
    all
}

fn read(file: &Path) -> Outcome<Spec> {
    let doing = || format!("cannot read the device spec `{}`", file.display());
    if std::fs::metadata(file).doing(doing)?.len() > LARGEST {
        return Err(Error::new(Kind::Invalid, doing()).caused_by("it is too large"));
    }
    let text = std::fs::read(file).doing(doing)?;
    serde_json::from_slice(&text).map_err(|error| Error::new(Kind::Invalid, doing()).caused_by(error.to_string()))
}

fn device(node: &Node) -> Outcome<Device> {
    let host = node.host_path.as_ref().unwrap_or(&node.path);
    let meta = std::fs::metadata(host).doing(|| format!("look at `{}`", host.display()))?;
    let access = node.permissions.as_deref().filter(|text| !text.is_empty()).unwrap_or("rwm");
    let inside = node.path.starts_with("/dev") && !node.path.iter().any(|part| part == "..");
    let Some(found) = facts::device(&node.path, &meta, access).filter(|_| inside) else {
        let what = format!("its spec has `{}`, which is not a device below `/dev`", node.path.display());
        return Err(Error::new(Kind::Invalid, what));
    };
    Ok(Device {
        mode: node.file_mode.unwrap_or(found.mode) & 0o777,
        uid: node.uid.unwrap_or(found.uid),
        gid: node.gid.unwrap_or(found.gid),
        ..found
    })
}

fn bound(mount: &Bound) -> Mount {
    let has = |option: &str| mount.options.iter().any(|given| given == option);
    Mount {
        target: mount.container_path.clone(),
        kind: MountKind::Bind {
            source: mount.host_path.clone(),
            recursive: has("rbind"),
            propagation: Propagation::Private,
            dev: !has("nodev"),
            suid: !has("nosuid"),
            writable_below: false,
        },
        read_only: has("ro"),
    }
}
