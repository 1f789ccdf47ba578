//! What a host tells the others of its own check: the same as it tells its user, within bounds.

use netd_api::{AroundView, CheckView, DifferenceView, HostFindings};

/// Lines of each kind, and bytes of each text.
const LINES: usize = 64;
const TEXT: usize = 300;

/// A check's outcome as other hosts get it. What is too much is counted.
pub fn told(view: &CheckView) -> HostFindings {
    let over = |length: usize| length.saturating_sub(LINES) as u64;
    // What differs still is told before what is repaired.
    let (repaired, left): (Vec<_>, Vec<_>) = view.differences.iter().partition(|one| one.repaired);
    let differences = left.into_iter().chain(repaired).take(LINES).map(|one| DifferenceView {
        owner: short(&one.owner),
        place: short(&one.place),
        what: short(&one.what),
        by: one.by.as_deref().map(short),
        repaired: one.repaired,
    });
    let around = view.around.iter().take(LINES).map(|one| AroundView {
        what: short(&one.what),
        // Half a command line is none.
        repair: one.repair.clone().filter(|line| line.len() <= TEXT),
    });
    HostFindings {
        differences: differences.collect(),
        around: around.collect(),
        looked: view.looked,
        unseen: view.unseen.iter().take(LINES).map(|why| short(why)).collect(),
        more: over(view.differences.len()) + over(view.around.len()) + over(view.unseen.len()),
    }
}

/// Whether a netd could have told this, or what is wrong with it.
pub fn checked(findings: &HostFindings) -> Result<(), String> {
    let HostFindings { differences, around, unseen, .. } = findings;
    if differences.len().max(around.len()).max(unseen.len()) > LINES {
        return Err("more lines than a host tells".into());
    }
    let of_difference = |one: &DifferenceView| {
        [one.owner.len(), one.place.len(), one.what.len(), one.by.as_ref().map_or(0, String::len)].into_iter().max()
    };
    let of_around = |one: &AroundView| one.what.len().max(one.repair.as_ref().map_or(0, String::len));
    let longest = differences.iter().filter_map(of_difference).chain(around.iter().map(of_around));
    match longest.chain(unseen.iter().map(String::len)).max() {
        // Its last character may have had more than a byte.
        Some(long) if long > TEXT + 8 => Err(format!("a text of {long} bytes")),
        _ => Ok(()),
    }
}

/// The text, or its beginning.
fn short(text: &str) -> String {
    if text.len() <= TEXT {
        return text.to_owned();
    }
    let end = (0..=TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(what: &str, repaired: bool) -> DifferenceView {
        let (owner, place) = ("network blue".to_owned(), "host".to_owned());
        DifferenceView { owner, place, what: what.to_owned(), by: None, repaired }
    }

    #[test]
    fn what_is_told_has_bounds_and_the_worst_comes_first() {
        let mut view = CheckView { looked: 7, ..CheckView::default() };
        view.differences = (0..LINES + 3).map(|_| difference("x", true)).collect();
        view.differences.push(difference(&"é".repeat(1000), false));
        view.around.push(AroundView { what: "y".into(), repair: Some("z".repeat(1000)) });
        let findings = told(&view);
        assert_eq!((findings.looked, findings.more, findings.differences.len()), (7, 4, LINES));
        assert!(!findings.differences[0].repaired && findings.differences[0].what.ends_with("é…"));
        assert_eq!(findings.around[0].repair, None);
        checked(&findings).unwrap();
        assert!(serde_json::to_vec(&findings).unwrap().len() < 256 << 10);
    }

    #[test]
    fn more_than_a_host_tells_is_refused() {
        let mut findings = told(&CheckView::default());
        checked(&findings).unwrap();
        findings.unseen.push("x".repeat(TEXT + 100));
        assert!(checked(&findings).is_err());
        findings.unseen = vec![String::new(); LINES + 1];
        assert!(checked(&findings).is_err());
    }
}
