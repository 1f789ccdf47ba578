//! docker's config.json, what credential helpers say, and what a registry writes after `WWW-Authenticate:`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rcr_images::remote::credentials::{DockerConfig, Known, helper_says};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut config) = DockerConfig::parse(bytes) {
        for host in ["docker.io", "localhost:5000", "a"] {
            let _ = (config.lookup(host), config.helper(host));
        }
        if config.keep("a", "me", "a:b").is_ok() {
            let again = DockerConfig::parse(&config.text().expect("it was JSON")).expect("it was JSON");
            let known = again.lookup("a");
            // An identity token that was there before goes with the whole entry.
            assert_eq!(known, Known::Password { user: "me".into(), password: "a:b".into() });
            assert_eq!(config.forget("a"), Ok(true));
            assert_eq!(config.lookup("a"), Known::Nothing);
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(Known::Password { user, .. }) = helper_says(text) {
        assert!(!user.is_empty() && user != "<token>");
    }
    // As the client crate reads it.
    for challenge in http_auth::ChallengeParser::new(text).flatten() {
        challenge.params.iter().for_each(|(_, value)| drop(value.to_unescaped()));
    }
});
