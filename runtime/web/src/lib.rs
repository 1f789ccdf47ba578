//! The page of rcr: a front beside the command line. It shows what the engine says, in a browser, and changes something
//! only where that was allowed when it was started.
//!
//! | room | what is in it |
//! |---|---|
//! | [`options`] | the command line |
//! | [`gate`] | who may ask: the token, the host, the origin (pure) |
//! | [`route`] | a method and a path → what is asked (pure) |
//! | [`assets`] | the page itself: files of the program |
//! | [`look`], [`figures`], [`records`] | what there is, as JSON |
//! | [`act`] | what may be changed |
//! | [`feed`] | what happens, sent as it happens |
//! | [`answer`] | answers with their headers |
//! | [`server`] | the socket, the connections, their limits |

#![warn(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod act;
pub mod answer;
pub mod assets;
pub mod feed;
pub mod figures;
pub mod gate;
pub mod look;
pub mod options;
pub mod records;
pub mod route;
pub mod server;
