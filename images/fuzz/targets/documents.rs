//! Index, manifest and config, as a registry or an archive might have them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rcr_images::remote::document::{self, Document, Platform};
use rcr_images::unpack::Limits;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let middle = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let (first, second) = (&bytes[..middle], bytes.get(middle + 1..).unwrap_or_default());
    match Document::parse(first) {
        Ok(Document::Index(index)) => {
            if let Ok(entry) = document::choose(&index, &Platform::default()) {
                let _ = document::digest_of(entry);
            }
        }
        Ok(Document::Manifest(manifest)) => {
            let Ok((config, _)) = document::config(second) else { return };
            if let Ok(layers) = document::layers(&manifest, &config, &limits) {
                assert!(layers.len() <= limits.layers && layers.iter().all(|layer| layer.size <= limits.packed));
                assert!(layers.iter().all(|layer| layer.digest.hex().len() == 64 && layer.diff_id.hex().len() == 64));
            }
        }
        Err(_) => {}
    }
});
