//! `rcr network capture`: opens a socket at each link that is asked for, and says who has which address there. The
//! packets themselves netd never sees.

use super::failures::kernel_failed;
use super::input::Answer;
use super::writer::Writer;
use crate::kernel::{Wants, can_redirect, place, tap};
use netd_api::{
    ApiError, Call, CaptureAt, CaptureView, ContainerId, ErrorKind, IfName, NetworkId, Reply, TapView, TunnelView,
};
use netd_core::model::Attachment;
use netd_core::picture::{Inhabitant, NetworkPicture, Picture};
use rcr_base::{MAX_FDS, command};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The sockets, and what there is to know about them.
pub fn capture(writer: &Writer, at: &CaptureAt) -> Result<Answer, ApiError> {
    let picture = writer.picture()?;
    let (taps, networks, fds, deaf) = match at {
        CaptureAt::Container(id, network) => inside(writer, &picture, id, network.as_deref())?,
        CaptureAt::Network(asked) => outside(&picture, &resolve(writer, asked)?)?,
        CaptureAt::Tunnel(asked) => wrapped(&picture, &resolve(writer, asked)?)?,
    };
    let names = picture.named_addresses(&networks);
    let wrapped = matches!(at, CaptureAt::Tunnel(_));
    let of = networks.first().and_then(|id| picture.networks.get(id)).filter(|_| wrapped);
    let tunnel = of
        .and_then(|one| one.network.tunnel())
        .and_then(|tunnel| Some(TunnelView { port: tunnel.port, vni: tunnel.vni?.number() }));
    Ok((Reply::Capture(Box::new(CaptureView { taps, names, deaf, tunnel })), fds))
}

/// Links, the networks that they belong to, a socket for each, what can't be heard.
type Opened = (Vec<TapView>, Vec<NetworkId>, Vec<OwnedFd>, Vec<String>);

fn resolve(writer: &Writer, asked: &str) -> Result<NetworkId, ApiError> {
    match writer.ask(Call::NetworkInspect { network: asked.to_owned() }, Vec::new()).0 {
        Reply::Network(info) => Ok(info.id),
        Reply::Error(error) => Err(error),
        _ => Err(ApiError::new(ErrorKind::System, format!("cannot look up network `{asked}`"))),
    }
}

fn inside(writer: &Writer, picture: &Picture, id: &ContainerId, network: Option<&str>) -> Result<Opened, ApiError> {
    let Some(container) = picture.containers.get(id) else {
        return Err(ApiError::new(ErrorKind::Conflict, format!("container `{}` has no network now", id.short()))
            .caused_by("it is not running"));
    };
    let wanted = network.map(|asked| resolve(writer, asked)).transpose()?;
    let chosen = chosen(picture, container, wanted.as_ref(), network)?;
    let netns = writer.netns_of(vec![id.clone()])?.into_iter().next().flatten();
    let Some(netns) = netns else {
        return Err(ApiError::new(ErrorKind::Conflict, format!("container `{}` has just ended", container.name)));
    };
    let mut opened: Opened = Default::default();
    for attachment in chosen {
        let Some(of) = picture.networks.get(&attachment.network) else { continue };
        let place = format!("in container `{}`", container.name);
        opened.2.push(open(Some(netns.as_fd()), attachment.ifname.as_str(), &place)?);
        opened.1.push(attachment.network.clone());
        opened.0.push(TapView {
            link: attachment.ifname.clone(),
            container: Some(container.name.clone()),
            network: of.network.name.clone(),
        });
    }
    Ok(opened)
}

fn chosen<'a>(
    picture: &Picture,
    container: &'a Inhabitant,
    wanted: Option<&NetworkId>,
    asked: Option<&str>,
) -> Result<Vec<&'a Attachment>, ApiError> {
    // Networks `host` and `none` give no link.
    let linked = |id: &NetworkId| picture.networks.get(id).is_some_and(|one| one.network.linked());
    let fits = |a: &&Attachment| wanted.is_none_or(|id| a.network == *id) && linked(&a.network);
    let chosen: Vec<&Attachment> = container.attachments.iter().filter(fits).collect();
    let name = &container.name;
    match (chosen.len(), asked) {
        (0, Some(network)) => {
            Err(ApiError::new(ErrorKind::NotFound, format!("container `{name}` is not on network `{network}`")))
        }
        (0, None) => Err(ApiError::new(ErrorKind::Unsupported, format!("cannot listen in container `{name}`"))
            .caused_by("it is on no network that gives it a link of its own")
            .hint("listen at another container, or at a network")),
        (1..=MAX_FDS, _) => Ok(chosen),
        (count, _) => Err(ApiError::new(ErrorKind::Unsupported, format!("cannot listen in container `{name}`"))
            .caused_by(format!("it is on {count} networks; at most {MAX_FDS} links are listened to at once"))
            .hint("choose a network by `--network`")),
    }
}

fn outside(picture: &Picture, id: &NetworkId) -> Result<Opened, ApiError> {
    let Some(one) = picture.networks.get(id) else {
        return Err(ApiError::new(ErrorKind::NotFound, "somebody has just removed the network"));
    };
    let name = &one.network.name;
    let doing = || format!("cannot listen at network `{name}`");
    let Some(link) = one.own_links().into_iter().next() else {
        return Err(ApiError::new(ErrorKind::Unsupported, doing()).caused_by("it has no link on the host"));
    };
    if !one.up {
        return Err(ApiError::new(ErrorKind::Conflict, doing())
            .caused_by("its links are made when the first container comes, and nobody is on it")
            .hint(format!("start a container on it: {}", command::run_on(name.as_str()))));
    }
    let fd = open(None, link.as_str(), "on the host")?;
    let tap = TapView { link, container: None, network: name.clone() };
    Ok((vec![tap], vec![id.clone()], vec![fd], deaf(one)))
}

/// The link that has this host's address among the cluster's hosts.
fn wrapped(picture: &Picture, id: &NetworkId) -> Result<Opened, ApiError> {
    let Some(one) = picture.networks.get(id) else {
        return Err(ApiError::new(ErrorKind::NotFound, "somebody has just removed the network"));
    };
    let name = &one.network.name;
    let doing = || format!("cannot listen at the tunnel of network `{name}`");
    let Some(address) = picture.facts.underlay.filter(|_| one.network.shared && one.network.tunnel().is_some()) else {
        return Err(ApiError::new(ErrorKind::Unsupported, doing()).caused_by("it has no tunnel to other hosts"));
    };
    if one.network.encrypted() {
        return Err(ApiError::new(ErrorKind::Unsupported, doing())
            .caused_by("its frames are encrypted on their way")
            .hint("listen at the network itself: there they are out of the tunnel"));
    }
    let host = place(None, &Wants::default()).map_err(|error| kernel_failed(doing(), &error))?;
    let Some((link, _)) = host.addresses.iter().find(|(_, net)| net.addr() == address) else {
        return Err(ApiError::new(ErrorKind::Conflict, doing()).caused_by(format!("no link has address {address}")));
    };
    let fd = open(None, link.as_str(), "on the host")?;
    let tap = TapView { link: link.clone(), container: None, network: name.clone() };
    Ok((vec![tap], vec![id.clone()], vec![fd], Vec::new()))
}

/// Who is not heard: the kernel hands packets between links on one parent over without the parent (macvlan, ipvlan), and
/// between some neighbours without their bridge.
fn deaf(one: &NetworkPicture) -> Vec<String> {
    let network = &one.network;
    let redirects = || network.bridge().is_some_and(|options| options.redirect_peer) && can_redirect().is_ok();
    let passed_by = match &network.parent {
        Some(parent) => Some(parent.name()),
        None => network.interface.as_ref().filter(|_| redirects()),
    };
    let told = |name: &IfName| {
        format!("packets between containers on this host do not cross `{name}`: listen at one of the containers")
    };
    passed_by.map(told).into_iter().collect()
}

fn open(netns: Option<BorrowedFd<'_>>, link: &str, place: &str) -> Result<OwnedFd, ApiError> {
    tap(netns, link).map_err(|error| kernel_failed(format!("cannot listen at link `{link}` {place}"), &error))
}
