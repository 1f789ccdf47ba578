//! Images of this instance. The store itself is `rcr_images`; here it meets the containers.
//!
//! | file | requests |
//! |---|---|
//! | `registry` | pull, push, login, logout; the image of a new container |
//! | `archive` | load, save, import |
//! | `names` | list, tag, history, remove, prune |
//! | `check` | find what is damaged, and repair it |

mod archive;
mod check;
mod names;
mod registry;
mod store;

pub use archive::{Import, Input, Output, import, load, save};
pub use check::{Checked, check};
pub use names::{NameFilter, Step, history, list, prune, remove, tag};
pub use registry::{Fetch, Login, Policy, image_for, login, logout, pull, push};
pub use store::{Containers, store};

pub use rcr_images::archive::{Format, Loaded};
pub use rcr_images::reference::DOCKER_HUB;
pub use rcr_images::remote::{Event, Platform, Pulled};
pub use rcr_images::{Digest, Fault, Image, ImageSummary, Pruned, Recipe, Reference, Removed};
