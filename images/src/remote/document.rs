//! The documents of an image, from untrusted bytes. Pure: no file and no network is touched here.

use super::tidy;
use crate::{Digest, Error};
use oci_spec::image::{Arch, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, Os};
use rcr_base::ImageLimits;
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// Media types of manifests that are understood, of OCI and of Docker.
pub const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// A document that a tag or a digest led to.
#[derive(Debug)]
pub enum Document {
    /// An image for one platform.
    Manifest(Box<ImageManifest>),
    /// A list of manifests, for several platforms.
    Index(Box<ImageIndex>),
}

/// The fields that tell the two apart (image-spec, manifest.md and image-index.md).
#[derive(Deserialize)]
struct Shape {
    #[serde(rename = "schemaVersion")]
    schema: Option<u32>,
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    #[serde(rename = "fsLayers")]
    schema1: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Parses a manifest or an index. One that could be read as both is refused: two readers would run two different
    /// images.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |why: String| Error::Hostile(format!("the manifest is malformed: {why}"));
        let shape: Shape = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        if shape.schema1.is_some() || shape.schema == Some(1) {
            return Err(wrong("it uses Docker's schema 1, which was given up in 2017".into()));
        }
        if shape.schema != Some(2) {
            return Err(wrong("its schemaVersion is not 2".into()));
        }
        let index = shape.manifests.is_some();
        if index == (shape.config.is_some() || shape.layers.is_some()) {
            return Err(wrong("it is neither a manifest nor an index, or it is both".into()));
        }
        let says_index = shape.media_type.as_deref().map(|t| t.contains("index") || t.contains("manifest.list"));
        if says_index.is_some_and(|says| says != index) {
            return Err(wrong("its media type does not match its content".into()));
        }
        Ok(if index {
            Document::Index(Box::new(serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?))
        } else {
            Document::Manifest(Box::new(serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?))
        })
    }
}

/// An operating system, an architecture, and perhaps a variant of it: `linux/arm64/v8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// By Go's name: `linux`.
    pub os: String,
    /// By Go's name: `amd64`, `arm64`.
    pub architecture: String,
    /// `v7`, `v8`; absent: any.
    pub variant: Option<String>,
}

impl Default for Platform {
    /// This machine's.
    fn default() -> Self {
        Self { os: Os::default().to_string(), architecture: Arch::default().to_string(), variant: None }
    }
}

impl Platform {
    /// The one that an image is for.
    pub fn of(config: &ImageConfiguration) -> Self {
        let (os, architecture) = (config.os().to_string(), config.architecture().to_string());
        Self { os, architecture, variant: config.variant().clone() }
    }

    /// Whether an image for `other` fits this platform. Without a variant any does; an image without one may be it.
    pub fn takes(&self, other: &Platform) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        (&self.os, &self.architecture) == (&other.os, &other.architecture) && same(&self.variant, &other.variant)
    }
}

impl FromStr for Platform {
    type Err = &'static str;
    /// `os/arch[/variant]`, or the architecture alone.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let good =
            |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        let (os, architecture, variant) = match parts.as_slice() {
            [architecture] => ("linux", *architecture, None),
            [os, architecture] => (*os, *architecture, None),
            [os, architecture, variant] => (*os, *architecture, Some(*variant)),
            _ => return Err("expected os/architecture[/variant]"),
        };
        if !parts.iter().all(good) {
            return Err("expected os/architecture[/variant]");
        }
        let architecture = match architecture {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            "i386" | "i686" => "386",
            "armhf" => "arm",
            other => other,
        };
        Ok(Self { os: os.into(), architecture: architecture.into(), variant: variant.map(Into::into) })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// The entry of an index for a platform. With several, the one without a variant, else the first.
pub fn choose<'a>(index: &'a ImageIndex, wanted: &Platform) -> Result<&'a Descriptor, Error> {
    let images = index.manifests().iter().filter(|entry| !is_beside(entry));
    let all = || images.clone().filter_map(|d| d.platform().as_ref().map(|p| (d, p)));
    let mut fitting: Vec<_> = all()
        .filter(|(_, p)| p.os().to_string() == wanted.os && p.architecture().to_string() == wanted.architecture)
        .filter(|(_, p)| wanted.variant.is_none() || *p.variant() == wanted.variant)
        .collect();
    fitting.sort_by_key(|(_, p)| p.variant().is_some());
    if let Some((found, _)) = fitting.first() {
        return Ok(found);
    }
    // An index of one image without a platform is just a detour to it.
    let mut images = index.manifests().iter().filter(|entry| !is_beside(entry));
    if let (Some(only), None) = (images.next(), images.next())
        && only.platform().is_none()
    {
        return Ok(only);
    }
    let mut known: Vec<String> = all()
        .map(|(_, p)| Platform {
            os: p.os().to_string(),
            architecture: p.architecture().to_string(),
            variant: p.variant().clone(),
        })
        .filter(|p| p.os != "unknown")
        .map(|p| p.to_string())
        // A platform that could not be written after `--platform` is no help, and may target the terminal.
        .filter(|text| text.parse::<Platform>().is_ok())
        .collect();
    known.sort();
    known.dedup();
    Err(Error::Platform { wanted: wanted.to_string(), known })
}

/// Checks bytes against their descriptor.
pub fn check_bytes(bytes: &[u8], digest: &Digest, size: Option<u64>) -> Result<(), Error> {
    let got = Digest::of(bytes);
    if got != *digest {
        return Err(Error::Hostile(format!("a document with the digest {got} arrived instead of {digest}")));
    }
    if let Some(size) = size.filter(|size| *size != bytes.len() as u64) {
        return Err(Error::Hostile(format!("`{digest}` has {} bytes, its descriptor says {size}", bytes.len())));
    }
    Ok(())
}

/// One layer as manifest and config have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPlan {
    /// Of the packed bytes.
    pub digest: Digest,
    /// Packed bytes.
    pub size: u64,
    /// Of the unpacked bytes.
    pub diff_id: Digest,
}

impl LayerPlan {
    /// The error for bytes that are not this layer's.
    pub(crate) fn wrong(&self, got: &Digest, got_size: u64) -> Error {
        Error::Wrong { wanted: self.digest.to_string(), wanted_size: self.size, got: got.to_string(), got_size }
    }
}

/// The digest of a descriptor, if it is a sha256.
pub fn digest_of(descriptor: &Descriptor) -> Result<Digest, Error> {
    let text = descriptor.digest().to_string();
    text.parse().map_err(|why| Error::Hostile(format!("the digest `{}` cannot be used: {why}", text.escape_default())))
}

/// The layers of a manifest with the diff ids of its config, lowest first.
pub fn layers(
    manifest: &ImageManifest,
    config: &ImageConfiguration,
    limits: &ImageLimits,
) -> Result<Vec<LayerPlan>, Error> {
    let (layers, diff_ids) = (manifest.layers(), config.rootfs().diff_ids());
    if layers.len() != diff_ids.len() {
        return Err(Error::Hostile(format!("its manifest has {} layers, its config {}", layers.len(), diff_ids.len())));
    }
    if layers.len() > limits.layers {
        return Err(Error::limit("layers", format!("it has more than {} layers", limits.layers)));
    }
    let plan = |(descriptor, diff_id): (&Descriptor, &String)| {
        let media_type = descriptor.media_type().to_string();
        let tar = media_type.contains(".tar") && !media_type.contains("encrypted") && !media_type.contains("foreign");
        if !tar || media_type.contains("nondistributable") {
            return Err(Error::Hostile(format!("a layer has the media type `{}`", media_type.escape_default())));
        }
        if descriptor.size() > limits.packed {
            return Err(Error::limit("packed", format!("a layer has more than {} packed bytes", limits.packed)));
        }
        let diff_id = diff_id.parse().map_err(|why| {
            Error::Hostile(format!("the diff id `{}` cannot be used: {why}", diff_id.escape_default()))
        })?;
        Ok(LayerPlan { digest: digest_of(descriptor)?, size: descriptor.size(), diff_id })
    };
    layers.iter().zip(diff_ids).map(plan).collect()
}

/// Parses a config, tolerating malformed fields that are not needed. Returns which fields cannot be used, and why.
pub fn config(bytes: &[u8]) -> Result<(ImageConfiguration, Vec<String>), Error> {
    let wrong = |e: serde_json::Error| Error::Hostile(format!("its config is malformed: {e}"));
    let mut value: Value = serde_json::from_slice(bytes).map_err(wrong)?;
    let strange = tidy::config(&mut value);
    Ok((serde_json::from_value(value).map_err(wrong)?, strange))
}

/// Whether it is an attestation, a signature, or something else beside the images.
pub fn is_beside(descriptor: &Descriptor) -> bool {
    let unknown =
        |p: &oci_spec::image::Platform| p.os().to_string() == "unknown" || p.architecture().to_string() == "unknown";
    let marked = |a: &std::collections::HashMap<String, String>| a.contains_key("vnd.docker.reference.type");
    let media_type = descriptor.media_type().to_string();
    descriptor.platform().as_ref().is_some_and(unknown)
        || descriptor.annotations().as_ref().is_some_and(marked)
        || descriptor.artifact_type().is_some()
        || !MANIFEST_TYPES.contains(&media_type.as_str())
}

/// Whether a manifest is an image's: others carry anything in the same form (image-spec, manifest.md, "Guidelines for
/// Artifact Usage").
pub fn is_image(manifest: &ImageManifest) -> bool {
    let config = manifest.config().media_type().to_string();
    let image = ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
    let of_layers = |d: &Descriptor| d.media_type().to_string().contains(".tar");
    manifest.artifact_type().is_none()
        && image.contains(&config.as_str())
        && (manifest.layers().is_empty() || manifest.layers().iter().any(of_layers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_one_thing_only() {
        let hash = Digest::of(b"");
        let descriptor =
            format!(r#"{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{hash}","size":0}}"#);
        let manifest = format!(r#"{{"schemaVersion":2,"config":{descriptor},"layers":[]}}"#);
        assert!(matches!(Document::parse(manifest.as_bytes()), Ok(Document::Manifest(_))));
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{descriptor}]}}"#);
        assert!(matches!(Document::parse(index.as_bytes()), Ok(Document::Index(_))));
        for bad in [
            "".to_owned(),
            "{}".to_owned(),
            "[]".to_owned(),
            r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(),
            format!(r#"{{"schemaVersion":2,"config":{descriptor},"layers":[],"manifests":[]}}"#),
            format!(
                r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","config":{descriptor},"layers":[]}}"#
            ),
            "[".repeat(100_000),
        ] {
            assert!(Document::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn platforms_are_chosen() {
        let entry = |n: u8, platform: &str| {
            let hash = Digest::of(&[n]);
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{hash}","size":1{platform}}}"#
            )
        };
        let platform =
            |arch: &str, variant: &str| format!(r#","platform":{{"os":"linux","architecture":"{arch}"{variant}}}"#);
        let index = |entries: &[String]| -> ImageIndex {
            serde_json::from_str(&format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","))).unwrap()
        };
        let all = index(&[
            entry(1, &platform("amd64", "")),
            entry(2, &platform("arm", r#","variant":"v6""#)),
            entry(3, &platform("arm", r#","variant":"v7""#)),
        ]);
        let pick = |wanted: &str| {
            choose(&all, &wanted.parse().unwrap()).map(|d| d.digest().to_string()).map_err(|e| e.to_string())
        };
        assert_eq!(pick("linux/amd64"), Ok(Digest::of(&[1]).to_string()));
        assert_eq!(pick("linux/arm/v7"), Ok(Digest::of(&[3]).to_string()));
        assert_eq!(pick("arm"), Ok(Digest::of(&[2]).to_string()));
        assert!(pick("linux/s390x").unwrap_err().contains("s390x"));
        let lone = index(&[entry(9, "")]);
        assert!(choose(&lone, &Platform::default()).is_ok());
        for bad in ["", "/", "linux/", "a/b/c/d", "linux/am d64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
