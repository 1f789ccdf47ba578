//! Questions.

use rcr_base::{Doing, Outcome};

/// Asks before something that can't be undone. Without an answer it is no.
pub fn confirm(what: &str) -> Outcome<bool> {
    use std::io::Write;
    let mut err = std::io::stderr();
    let _ = write!(err, "warning: {what}\nAre you sure you want to continue? [y/N] ");
    let _ = err.flush();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).doing(|| "cannot read the answer")?;
    if !line.ends_with('\n') {
        let _ = writeln!(err);
    }
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
