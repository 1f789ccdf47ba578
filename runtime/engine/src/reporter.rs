//! What the engine tells a front while it works.

use rcr_images::remote::Event;

/// Passed to every verb that takes long, or has something to say that is neither an answer nor an error. A front shows
/// it, forwards it, or drops it.
pub trait Reporter: Sync {
    /// A warning for the user.
    fn warning(&self, text: &str);

    /// Progress of a pull or a push.
    fn transfer(&self, event: Event);

    /// How many bytes of an archive were read, or of a root file system unpacked, so far.
    fn bytes(&self, _so_far: u64) {}

    /// The transfer has ended, well or not.
    fn transfer_ended(&self);
}
