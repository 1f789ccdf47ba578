//! `completion`: the script that makes a shell ask us.

use crate::completion::VARIABLE;
use clap_complete::env::Shells;
use rcr_base::{Doing, Error, Kind, Outcome};

/// `rcr completion`.
pub fn print(shell: &str) -> Outcome<i32> {
    let doing = || format!("cannot print the completion for `{shell}`");
    let shells = Shells::builtins();
    let completer = shells.completer(shell).ok_or_else(|| Error::new(Kind::Invalid, doing()))?;
    completer.write_registration(VARIABLE, "rcr", "rcr", "rcr", &mut std::io::stdout()).doing(doing)?;
    Ok(0)
}
