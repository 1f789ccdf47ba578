//! References, digests and platforms: what parses prints as something that parses to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rcr_images::remote::Platform;
use rcr_images::{Digest, Reference};

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<Reference>() {
        let printed = name.to_string();
        assert_eq!(printed.parse::<Reference>().map(|again| again.to_string()).ok(), Some(printed.clone()));
        let (host, path) = (name.host(), name.path());
        assert!(!host.contains('/') && !host.is_empty() && !path.is_empty());
        assert!(!format!("{host}/{path}").split('/').any(|part| part.is_empty() || part == "." || part == ".."), "{text}");
        assert!(!printed.contains(char::is_whitespace) && !printed.contains(char::is_control));
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
        assert!(digest.hex().bytes().all(|b| b.is_ascii_hexdigit()));
    }
    if let Ok(platform) = text.parse::<Platform>() {
        assert_eq!(platform.to_string().parse::<Platform>().ok(), Some(platform));
    }
});
