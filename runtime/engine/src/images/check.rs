//! Damage on the disk, and its repair.

use super::registry::{Fetch, pull};
use super::store::{Containers, store};
use crate::instance::Instance;
use crate::reporter::Reporter;
use rcr_base::{Error, Kind, Outcome};
use rcr_images::remote::Platform;
use rcr_images::{Check, Fault, Image};
use std::path::PathBuf;

/// What a check of images found.
#[derive(Debug, Default)]
pub struct Checked {
    /// How many images were checked.
    pub images: usize,
    /// Layers, each counted once.
    pub layers: usize,
    /// What is damaged, and whether it was repaired.
    pub faults: Vec<Fault>,
    /// Images that had to be pulled again, but could not be.
    pub refused: Vec<Error>,
}

/// Checks images, or all if none is named, and with `repair` repairs what can be repaired.
pub fn check(instance: &Instance, wanted: &[String], repair: bool, reporter: &dyn Reporter) -> Outcome<Checked> {
    let store = store(instance)?;
    let wanted = match wanted {
        [] => store.list()?.into_iter().map(|image| image.id.to_string()).collect(),
        some => some.to_vec(),
    };
    let running = Containers::of(instance, true)?;
    let mounted = running.all.iter().filter(|c| c.state.status.is_alive());
    let mounted: Vec<PathBuf> = mounted.flat_map(|c| c.config.layers().cloned()).collect();
    let how = Check { repair, mounted: &mounted };
    let (mut seen, mut checked) = (Vec::new(), Checked { images: wanted.len(), ..Checked::default() });
    for name in &wanted {
        let image = store.resolve(name)?;
        let mut faults = store.check(&image, &how, &mut seen)?;
        if repair && faults.iter().any(|fault| !fault.repaired) {
            match fetch_again(instance, &image, name, reporter) {
                Ok(()) if store.check(&image, &how, &mut Vec::new())?.is_empty() => {
                    faults.iter_mut().for_each(|fault| fault.repaired = true);
                }
                Ok(()) => {}
                Err(error) => checked.refused.push(error),
            }
        }
        checked.faults.append(&mut faults);
    }
    checked.layers = seen.len();
    Ok(checked)
}

/// Pulls an image again whose packed layers were damaged: for its own platform, by its first name.
fn fetch_again(instance: &Instance, image: &Image, wanted: &str, reporter: &dyn Reporter) -> Outcome<()> {
    let name = image.names.first().ok_or_else(|| {
        Error::new(Kind::NotFound, format!("cannot pull `{wanted}` again"))
            .caused_by("it has no name")
            .hint("import or load it once more")
    })?;
    let how = Fetch { platform: Some(Platform::of(&image.config)), verify: false };
    pull(instance, &name.parse()?, &how, reporter).map(drop)
}
