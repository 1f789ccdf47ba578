//! Why one can't reach another. Pure: what is known and what was seen become the way from hop to hop, up to the first
//! that is broken.
//!
//! | room | what |
//! |---|---|
//! | `question` | two texts become a question: who sends, to whom, by which address; or an answer at once |
//! | `hop`, `walk` | a hop; the hops so far |
//! | `explain` | which hops a question has, in their order |
//! | `names`, `links`, `ways`, `firewall`, `sockets`, `published`, `tunnel`, `sizes` | a hop each |
//!
//! A probe is the truth, where one could be sent: what looks broken and does not stop it is no fault. Nothing is
//! guessed: what was not looked at is said.

mod explain;
mod firewall;
mod hop;
mod links;
mod names;
mod published;
mod question;
mod sizes;
mod sockets;
mod tunnel;
mod walk;
mod ways;

pub use explain::{explain, told};
pub use question::{Own, Question, Source, Start, Target, ask};
