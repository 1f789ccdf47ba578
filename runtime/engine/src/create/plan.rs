//! What making a container would do, without doing it.

use super::request::{Create, Source};
use super::{checks, network};
use crate::config::HostTarget;
use crate::images;
use crate::instance::Instance;
use crate::names;
use crate::rename::check_name;
use crate::reporter::Reporter;
use crate::start::network::{Planned, plan as plan_network};
use netd_api::{PlanPart, PlanRow, PlanStep, PlanView};
use rcr_base::{Doing, Error, Kind, Outcome};

/// What making and starting a container would do, in order: `=` is there, `+` is made. Nothing is changed, and nothing is
/// fetched.
pub fn plan(instance: &Instance, mut wanted: Create, reporter: &dyn Reporter) -> Outcome<PlanView> {
    checks::check(&wanted)?;
    checks::warn(&wanted, reporter);
    checks::fit(&mut wanted.resources, reporter)?;
    let mode = network::mode(instance, &wanted)?;
    let name = wanted.name.clone().unwrap_or_else(|| "NAME".to_owned());
    if let Some(name) = &wanted.name {
        check_name(name)?;
        free(instance, name)?;
    }
    let image = match images::store(instance)?.resolve(&wanted.image) {
        Ok(image) => Some(image),
        Err(rcr_images::Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let defaults = image.as_ref().and_then(|image| image.config.config().clone()).unwrap_or_default();
    let network = network::network(mode, &wanted.network, network::image_ports(&defaults));
    let host_gateway = wanted.extra_hosts.iter().any(|(_, target)| *target == HostTarget::HostGateway);
    let id = names::new_id().doing(|| "cannot make a container id")?;
    let one = Planned { id, name: &name, network: &network, dns: &wanted.dns, host_gateway };
    let mut parts = vec![own(instance, &wanted, &name, image.is_some())];
    parts.extend(plan_network(instance, &one)?.parts);
    Ok(PlanView { parts })
}

fn free(instance: &Instance, name: &str) -> Outcome<()> {
    match instance.containers().find(name) {
        Ok(other) if other.config.name == name => Err(Error::new(Kind::InUse, format!("the name `{name}` is taken"))
            .caused_by(format!("container {} has it", other.config.id.short()))),
        _ => Ok(()),
    }
}

/// What is not the network's: the image, volumes, the container itself.
fn own(instance: &Instance, wanted: &Create, name: &str, has_image: bool) -> PlanPart {
    let mut steps = Vec::new();
    let mut line = |there: bool, kind: &str, name: &str, why: &str| {
        let row = PlanRow { kind: kind.to_owned(), name: name.to_owned(), what: String::new() };
        let mark = if there { '=' } else { '+' };
        steps.push(PlanStep { scope: "host".to_owned(), mark, rows: vec![row], why: why.to_owned() });
    };
    line(has_image, "image", &wanted.image, if has_image { "" } else { "it is pulled first" });
    for volume in &wanted.volumes {
        match &volume.source {
            Source::Volume(volume) => line(instance.dirs.volumes().join(volume).exists(), "volume", volume, ""),
            Source::Anonymous => line(false, "volume", "ID", &format!("the contents of {}", volume.target)),
            _ => {}
        }
    }
    line(false, "folder", &instance.dirs.root.join("containers").join("ID").display().to_string(), "what it writes");
    PlanPart { title: format!("create {name}"), steps }
}
