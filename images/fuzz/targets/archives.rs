//! The lists of images in archives: Docker's `manifest.json`, the names in an OCI index. Every parsed name must be
//! valid.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rcr_images::Reference;
use rcr_images::archive::{DockerImage, names_of};
use rcr_images::remote::document::{Document, digest_of};
use rcr_images::unpack::Limits;

fn check(names: &[Reference]) {
    for name in names {
        let again: Reference = name.to_string().parse().expect("what was parsed prints as a name");
        assert_eq!(again.to_string(), name.to_string());
        assert!(!name.to_string().contains(|c: char| c.is_control() || c.is_whitespace()));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    if let Ok(images) = DockerImage::list(bytes, &limits) {
        assert!(!images.is_empty());
        for image in images {
            assert!(image.layers.len() <= limits.layers);
            check(&image.names());
        }
    }
    if let Ok(Document::Index(index)) = Document::parse(bytes) {
        for entry in index.manifests() {
            check(&names_of(entry));
            if let Ok(digest) = digest_of(entry) {
                assert!(digest.hex().len() == 64 && !digest.hex().contains(['/', '.']));
            }
        }
    }
});
