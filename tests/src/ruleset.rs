//! Rulesets as text. Netd's own tests have this file, too (`netd/tests/lab`).

/// A ruleset with its chains behind the rest, by name: the kernel has them in the order of their coming.
pub fn sort_chains(ruleset: &str) -> String {
    let (mut text, mut chains, mut open) = (String::new(), Vec::new(), String::new());
    for line in ruleset.lines().filter(|line| !line.is_empty()) {
        let line = format!("{line}\n");
        if open.is_empty() && !line.starts_with("\tchain ") {
            text += &line;
            continue;
        }
        open += &line;
        if line == "\t}\n" {
            chains.push(std::mem::take(&mut open));
        }
    }
    chains.sort_unstable();
    text + &chains.concat()
}
