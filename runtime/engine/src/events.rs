//! What a front hears while the engine works.

use rcr_images::remote::Event;

/// Given to everything that takes long, or has something to say that is neither an answer nor an error. A front shows
/// it, sends it on, or drops it.
pub trait Reporter: Sync {
    /// Something that is worth knowing.
    fn warning(&self, text: &str);

    /// How far a pull or a push is.
    fn transfer(&self, event: Event);

    /// How many bytes of an archive were read, or of a root file system unpacked, so far.
    fn bytes(&self, _so_far: u64) {}

    /// The transfer has ended, well or not.
    fn transfer_ended(&self);
}
