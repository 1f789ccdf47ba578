//! What a scrape asks for (RFC 9112): a method, a path, and which form it takes. No body is read; a connection has one
//! request.

use super::text::Form;

/// Where the numbers are.
pub const PATH: &str = "/metrics";
/// Bytes that a request's line and headers may have.
pub const MOST: usize = 8 << 10;

/// What is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The numbers; with `HEAD` only what would come.
    Numbers { form: Form, head: bool },
    /// Nothing of ours is there.
    NotFound,
    /// Something that is no reading.
    NotAllowed,
    /// This is not HTTP.
    Bad,
}

/// Where the headers end, if they do.
pub fn end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n")
}

/// Reads a request's line and its headers.
pub fn read(head: &[u8]) -> Asked {
    let Ok(text) = std::str::from_utf8(head) else { return Asked::Bad };
    let mut lines = text.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = words[..] else { return Asked::Bad };
    if !version.starts_with("HTTP/1.") {
        return Asked::Bad;
    }
    let head = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Asked::NotAllowed,
    };
    // Who scrapes may add parameters of its own.
    if target.split('?').next() != Some(PATH) {
        return Asked::NotFound;
    }
    let accepts = lines.filter_map(|line| line.split_once(':')).filter(|(name, _)| name.eq_ignore_ascii_case("accept"));
    Asked::Numbers { form: form(accepts.map(|(_, value)| value)), head }
}

/// OpenMetrics if it is taken, unless plain text is liked better (RFC 9110, 12.5.1).
fn form<'a>(accepts: impl Iterator<Item = &'a str>) -> Form {
    let (mut open, mut plain) = (0, 0);
    for range in accepts.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
        // Thousandths; NaN and what is out of range become something within.
        let weight = (weight.clamp(0.0, 1.0) * 1000.0) as u16;
        match kind.as_str() {
            "application/openmetrics-text" => open = weight.max(open),
            "text/plain" => plain = weight.max(plain),
            _ => {}
        }
    }
    if open > 0 && open >= plain { Form::OpenMetrics } else { Form::Prometheus }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(text: &str) -> Asked {
        read(&text.as_bytes()[..end(text.as_bytes()).unwrap()])
    }

    #[test]
    fn a_request_says_what_it_wants() {
        let numbers = |form| Asked::Numbers { form, head: false };
        let plain = numbers(Form::Prometheus);
        for (text, want) in [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", plain),
            ("GET /metrics?a=b HTTP/1.0\r\n\r\n", plain),
            ("GET /metrics HTTP/1.1\r\nAccept: text/plain;version=0.0.4\r\n\r\n", plain),
            (
                "GET /metrics HTTP/1.1\r\naccept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.2\r\n\r\n",
                numbers(Form::OpenMetrics),
            ),
            ("GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;q=0.1, text/plain;q=0.9\r\n\r\n", plain),
            ("GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;q=nan\r\n\r\n", plain),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", Asked::Numbers { form: Form::Prometheus, head: true }),
            ("GET / HTTP/1.1\r\n\r\n", Asked::NotFound),
            ("GET /metrics/x HTTP/1.1\r\n\r\n", Asked::NotFound),
            ("POST /metrics HTTP/1.1\r\n\r\n", Asked::NotAllowed),
            ("GET /metrics\r\n\r\n", Asked::Bad),
            ("GET /metrics HTTP/2\r\n\r\n", Asked::Bad),
            ("\r\n\r\n", Asked::Bad),
        ] {
            assert_eq!(asked(text), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (read(&bytes), end(&bytes));
        }
    }
}
