//! What is undone when a later step fails.

use rcr_base::{Error, Outcome};

/// Steps to undo, last first, when a later one fails.
#[derive(Default)]
pub struct Undo<'a> {
    steps: Vec<Box<dyn FnOnce() -> Outcome<()> + 'a>>,
}

impl<'a> Undo<'a> {
    /// Remembers one more.
    pub fn push(&mut self, step: impl FnOnce() -> Outcome<()> + 'a) {
        self.steps.push(Box::new(step));
    }

    /// Runs all steps; those that fail are added to the failure that brought us here.
    pub fn run(self, failure: Error) -> Error {
        let left: Vec<String> =
            self.steps.into_iter().rev().filter_map(|step| step().err()).map(|error| error.to_string()).collect();
        failure.leaving(left)
    }
}
