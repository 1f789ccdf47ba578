//! A container's last questions, as they were answered, for people who look. A question costs a copy of its first bytes:
//! it is read, and its name written as text, only when somebody asks. A container that asks for nothing has no room here.

use hickory_proto::rr::RecordType;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Questions that are kept of each container.
pub const KEPT: usize = 16;
/// Bytes of a question that are kept: a name of ordinary length, its type and class.
const ROOM: usize = 84;
/// Bytes of a header (RFC 1035, 4.1.1).
const HEADER: usize = 12;
/// What is left of one whose end is not kept.
const CUT: &str = "…";

/// The last questions. Clones of what stands in it are given away.
#[derive(Debug, Default)]
pub struct Lately(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    /// No longer than [`KEPT`]; made with the first question.
    kept: Vec<Kept>,
    /// Where the next one goes once all places are taken.
    next: usize,
}

/// One answer, as far as it is kept.
#[derive(Debug, Clone, Copy)]
struct Kept {
    /// Milliseconds since the epoch.
    at: i64,
    records: u16,
    long: u8,
    code: u8,
    outside: bool,
    question: [u8; ROOM],
}

/// A question and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Milliseconds since the epoch.
    pub at: i64,
    /// The name that was asked for; what is no printable ASCII is `\DDD` (RFC 1035, 5.1). One that is too long is cut.
    pub name: String,
    /// `A`, `AAAA`, …; empty: it was cut.
    pub kind: String,
    /// The answer's code (RFC 1035, 4.1.1).
    pub code: u8,
    /// How many records it had.
    pub records: u16,
    /// Somebody outside was asked.
    pub outside: bool,
}

/// Writes some answers down at one time, and under one lock.
pub struct Pen<'a> {
    ring: MutexGuard<'a, Ring>,
    at: i64,
}

impl Lately {
    /// For some answers that are given now.
    pub fn pen(&self) -> Pen<'_> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Pen { ring: self.ring(), at: i64::try_from(since.as_millis()).unwrap_or(i64::MAX) }
    }

    /// The last questions, oldest first.
    pub fn all(&self) -> Vec<Asked> {
        let ring = self.ring();
        let (newer, older) = ring.kept.split_at(ring.next.min(ring.kept.len()));
        older.iter().chain(newer).map(Kept::read).collect()
    }

    /// Every change is one place: what a panicking thread left is whole.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pen<'_> {
    /// Writes an answer down: its bytes begin with its header and its question. `outside`: somebody else has given it.
    pub fn note(&mut self, answer: &[u8], outside: bool) {
        let Some((&[_, _, _, flags, _, _, high, low, ..], rest)) = answer.split_first_chunk::<HEADER>() else { return };
        let mut question = [0; ROOM];
        let long = rest.len().min(ROOM);
        question[..long].copy_from_slice(&rest[..long]);
        let kept = Kept {
            at: self.at,
            records: u16::from_be_bytes([high, low]),
            long: long as u8,
            code: flags & 0x0f,
            outside,
            question,
        };
        let Ring { kept: all, next } = &mut *self.ring;
        if all.len() < KEPT {
            all.reserve_exact(KEPT - all.len());
            all.push(kept);
        } else if let Some(place) = all.get_mut(*next) {
            *place = kept;
            *next = (*next + 1) % KEPT;
        }
    }
}

impl Kept {
    fn read(&self) -> Asked {
        let bytes = &self.question[..usize::from(self.long).min(ROOM)];
        let (name, kind) = read(bytes);
        Asked { at: self.at, name, kind, code: self.code, records: self.records, outside: self.outside }
    }
}

/// A question's name and type; safe with any bytes.
fn read(mut bytes: &[u8]) -> (String, String) {
    let mut name = String::new();
    loop {
        match bytes.split_first() {
            Some((0, rest)) => {
                let kind = rest.first_chunk().map(|kind| RecordType::from(u16::from_be_bytes(*kind)).to_string());
                let name = if name.is_empty() { ".".to_owned() } else { name };
                return (name, kind.unwrap_or_default());
            }
            Some((&length @ 1..=63, rest)) => {
                if !name.is_empty() {
                    name.push('.');
                }
                let there = rest.len().min(length.into());
                rest[..there].iter().for_each(|byte| spell(*byte, &mut name));
                bytes = &rest[there..];
            }
            _ => return (name + CUT, String::new()),
        }
    }
}

fn spell(byte: u8, name: &mut String) {
    match byte {
        b'.' | b'\\' => name.extend(['\\', byte.into()]),
        b'!'..=b'~' => name.push(byte.into()),
        _ => name.push_str(&format!("\\{byte:03}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
    use hickory_proto::rr::Name;
    use proptest::prelude::*;

    fn answer(name: &str, kind: RecordType, code: ResponseCode) -> Vec<u8> {
        let mut message = Message::response(1, OpCode::Query);
        message.metadata.response_code = code;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    #[test]
    fn the_last_questions_are_kept_in_their_order() {
        let lately = Lately::default();
        assert!(lately.all().is_empty() && lately.ring().kept.capacity() == 0);
        for n in 0..KEPT * 2 + 3 {
            lately.pen().note(&answer(&format!("c{n}.Blue."), RecordType::AAAA, ResponseCode::NXDomain), n % 2 == 0);
        }
        let all = lately.all();
        let names: Vec<String> = (KEPT + 3..KEPT * 2 + 3).map(|n| format!("c{n}.Blue")).collect();
        assert_eq!(all.iter().map(|asked| asked.name.clone()).collect::<Vec<_>>(), names);
        assert_eq!((all[0].kind.as_str(), all[0].code, all[0].records, all[0].outside), ("AAAA", 3, 0, false));
        assert!(all.iter().all(|asked| asked.at > 0) && lately.ring().kept.capacity() == KEPT);
    }

    #[test]
    fn a_name_is_printable_whatever_is_in_it_and_a_long_one_is_cut() {
        let lately = Lately::default();
        let long = format!("{0}.{0}.", "x".repeat(60));
        lately.pen().note(&answer(&long, RecordType::A, ResponseCode::NoError), false);
        let mut bytes = answer("abcd.", RecordType::A, ResponseCode::NoError);
        bytes[13..17].copy_from_slice(b"\x1b.\\\xff");
        lately.pen().note(&bytes, true);
        lately.pen().note(&answer(".", RecordType::NS, ResponseCode::Refused), false);
        lately.pen().note(&bytes[..11], false);
        let names: Vec<_> = lately.all().into_iter().map(|asked| (asked.name, asked.kind)).collect();
        let cut = format!("{}.{}{CUT}", "x".repeat(60), "x".repeat(22));
        assert_eq!(names, [(cut, String::new()), ("\\027\\.\\\\\\255".into(), "A".into()), (".".into(), "NS".into())]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_printable(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let lately = Lately::default();
            lately.pen().note(&bytes, false);
            for asked in lately.all() {
                prop_assert!(asked.name.chars().all(|c| c.is_ascii_graphic() || c == '…'), "{:?}", asked.name);
            }
        }
    }
}
