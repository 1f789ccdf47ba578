//! Frames between neighbours on a bridge that bypass it: a BPF program at each port's ingress looks the
//! receiver's MAC up in the bridge's map, and puts the frame into that container's own link (bpf-helpers(7),
//! `bpf_redirect_peer`).
//!
//! ```text
//!   c1  eth0 ═══ ve1 ─ program ─┐ map: MAC of c2 → ve2 ┌────────── ve2 ═══ eth0  c2
//!                        │      └──────────────────────┴─────────────────────▲
//!                        └ no entry: on to the bridge
//! ```
//!
//! While the administrator has rules in `rcr-user`, a switch beside the map leaves all frames to the bridge, where these
//! rules may see them.
//!
//! Map and switch belong to nobody but the programs at the ports, so they outlive netd, and go with the last port. A netd
//! that comes later finds them there. What the map does not know takes the bridge's way, as everything does without a
//! program.

use super::bpf::{Kind, Map, Program};
use super::fdb;
use super::link;
use super::netlink::Netlink;
use super::{KernelError, gone_is_fine};
use netd_api::{IfName, Mac};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};

/// What program and maps are called: that is how the program is known again.
const PROGRAM: &str = "rcr_redirect";
const MAP: &str = "rcr_neighbours";
const SWITCH: &str = "rcr_paused";
/// A bridge has no more ports (`BR_MAX_PORTS`, net/bridge/br_private.h).
const PORTS: u32 = 1024;

/// Helpers (`enum bpf_func_id`), and fields of `struct __sk_buff`.
const MAP_LOOKUP_ELEM: i32 = 1;
const REDIRECT_PEER: i32 = 155;
const DATA: i16 = 76;
const DATA_END: i16 = 80;

/// A MAC, filled up to eight bytes, and the index of the host's end of the link that has it.
type Neighbours = Map<8, 4>;
/// At 0: anything but 0 leaves all frames to the bridge.
type Switch = Map<4, 4>;

/// A bridge's program and maps.
struct Shared {
    program: Program,
    switch: Switch,
    map: Neighbours,
}

/// Those of the bridges that were asked for, by index, which is never given out twice.
#[derive(Default)]
pub struct Redirects {
    of: BTreeMap<u32, Shared>,
    /// What the switches say; nothing: nobody has looked.
    paused: Option<bool>,
}

impl Redirects {
    /// Lets a port's frames and those for `mac` bypass the bridge.
    pub fn open(&mut self, socket: &mut Netlink, port: &IfName, mac: Mac, bridge: &IfName) -> Result<(), KernelError> {
        let paused = self.paused.unwrap_or(false);
        let (port, bridge) = (link::find(socket, port.as_str())?.index, link::find(socket, bridge.as_str())?.index);
        let shared = match self.find(socket, bridge)? {
            Some(shared) => shared,
            None => {
                let shared = Shared::new()?;
                shared.pause(paused)?;
                self.of.entry(bridge).or_insert(shared)
            }
        };
        // The bridge sees no frame of it that passes by, and must know all the same where it is.
        fdb::pin(socket, port, mac)?;
        shared.map.set(&key(mac), &port.to_ne_bytes())?;
        if of_port(port)?.is_none() {
            shared.program.attach(port)?;
        }
        Ok(())
    }

    /// Undoes [`Self::open`]. What is gone is undone.
    pub fn close(&mut self, socket: &mut Netlink, port: &IfName, mac: Mac, bridge: &IfName) -> Result<(), KernelError> {
        let (Some(bridge), port) = (index_of(socket, bridge)?, index_of(socket, port)?) else { return Ok(()) };
        let shared = match self.find(socket, bridge) {
            Ok(Some(shared)) => shared,
            // Where it is impossible it was not done.
            Ok(None) | Err(KernelError::NoRedirect(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        gone_is_fine(shared.map.delete(&key(mac)))?;
        if let Some(port) = port {
            gone_is_fine(shared.program.detach(port))?;
        }
        if shared.map.is_empty()? {
            self.of.remove(&bridge);
        }
        Ok(())
    }

    /// Leaves all frames to the bridges, or no longer.
    pub fn pause(&mut self, socket: &mut Netlink, paused: bool) -> Result<(), KernelError> {
        if self.paused == Some(paused) {
            return Ok(());
        }
        let bridges: BTreeSet<u32> = link::list(socket)?.into_iter().filter_map(|(_, link)| link.controller).collect();
        for bridge in bridges {
            match self.find(socket, bridge) {
                Ok(found) => found.map_or(Ok(()), |shared| shared.pause(paused))?,
                Err(KernelError::NoRedirect(_)) => break,
                Err(error) => return Err(error),
            }
        }
        self.paused = Some(paused);
        Ok(())
    }

    /// What a bridge has: asked for before, or found at one of its ports.
    fn find(&mut self, socket: &mut Netlink, bridge: u32) -> Result<Option<&mut Shared>, KernelError> {
        if !self.of.contains_key(&bridge) {
            let links: Vec<_> = link::list(socket)?.into_iter().map(|(_, link)| link).collect();
            // One that came back under its ports is another one, with the same ports.
            self.of.retain(|known, _| links.iter().any(|link| link.index == *known));
            for port in links.iter().filter(|link| link.controller == Some(bridge)) {
                if let Some(shared) = of_port(port.index)? {
                    self.of.insert(bridge, shared);
                    break;
                }
            }
        }
        Ok(self.of.get_mut(&bridge))
    }
}

/// Whether a port's frames and those for `mac` bypass the bridge.
pub fn stands(port: u32, mac: Mac) -> Result<bool, KernelError> {
    let map = match of_port(port) {
        Ok(Some(shared)) => shared.map,
        Ok(None) | Err(KernelError::NoRedirect(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    match map.get(&key(mac)) {
        Ok(at) => Ok(at == port.to_ne_bytes()),
        Err(error) if error.is_gone() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Fails where the kernel can't do it, or netd may not ask for it.
pub fn possible() -> Result<(), KernelError> {
    // A kernel without programs of this kind at links does not know the question.
    of_port(LOOPBACK).and_then(|_| Shared::new()).map(drop)
}

/// The index of `lo` in each network namespace.
const LOOPBACK: u32 = 1;

/// The index of a link; nothing, where it is gone.
fn index_of(socket: &mut Netlink, link: &IfName) -> Result<Option<u32>, KernelError> {
    match link::find(socket, link.as_str()) {
        Err(error) if error.is_gone() => Ok(None),
        other => other.map(|link| Some(link.index)),
    }
}

/// What is at a port; nothing, where it is gone.
fn of_port(port: u32) -> Result<Option<Shared>, KernelError> {
    let (program, maps) = match Program::of_link(port, PROGRAM) {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(None),
        Err(error) if error.is_gone() => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    let [switch, map] = maps[..] else { return Ok(None) };
    Ok(Some(Shared { program, switch: Map::open(switch)?, map: Map::open(map)? }))
}

impl Shared {
    fn new() -> Result<Self, KernelError> {
        let switch = Map::create(Kind::Array, SWITCH, 1).map_err(cannot)?;
        let map = Map::create(Kind::Hash, MAP, PORTS).map_err(cannot)?;
        let program = Program::load(PROGRAM, &instructions(switch.descriptor(), map.descriptor())).map_err(cannot)?;
        Ok(Self { program, switch, map })
    }

    fn pause(&self, paused: bool) -> Result<(), KernelError> {
        self.switch.set(&[0; 4], &u32::from(paused).to_ne_bytes())
    }
}

/// What says that a kernel does not know it, or that netd may not: there is another way, so that stops nothing.
fn cannot(error: KernelError) -> KernelError {
    match error.errno() {
        Some(errno @ (Errno::EPERM | Errno::EACCES | Errno::ENOSYS | Errno::EINVAL | Errno::EOPNOTSUPP)) => {
            KernelError::NoRedirect(errno)
        }
        _ => error,
    }
}

fn key(mac: Mac) -> [u8; 8] {
    let [a, b, c, d, e, f] = mac.0;
    [a, b, c, d, e, f, 0, 0]
}

/// One instruction: code, destination and source register, offset, value (RFC 9669, section 3).
fn one(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Vec<u8> {
    [&[code, from << 4 | to][..], &offset.to_ne_bytes(), &value.to_ne_bytes()].concat()
}

/// r1 is the frame, r10 the end of the stack. The first six bytes of an Ethernet frame are its receiver's MAC.
fn instructions(switch: i32, map: i32) -> Vec<u8> {
    let copy = |at: i16| [one(0x69, 4, 2, at, 0), one(0x6b, 10, 4, at - 8, 0)].concat();
    [
        // What names a map's value, or a map, takes two instructions.
        one(0x18, 2, 2, 0, switch),
        one(0, 0, 0, 0, 0),
        one(0x61, 3, 2, 0, 0),
        // Paused: 22 instructions on.
        one(0x55, 3, 0, 22, 0),
        one(0x61, 2, 1, DATA, 0),
        one(0x61, 3, 1, DATA_END, 0),
        // Shorter than a MAC: 17 instructions on.
        one(0xbf, 4, 2, 0, 0),
        one(0x07, 4, 0, 0, 6),
        one(0x2d, 4, 3, 17, 0),
        copy(0),
        copy(2),
        copy(4),
        one(0x6a, 10, 0, -2, 0),
        one(0x18, 1, 1, 0, map),
        one(0, 0, 0, 0, 0),
        one(0xbf, 2, 10, 0, 0),
        one(0x07, 2, 0, 0, -8),
        one(0x85, 0, 0, 0, MAP_LOOKUP_ELEM),
        one(0x15, 0, 0, 4, 0),
        one(0x61, 1, 0, 0, 0),
        one(0xb7, 2, 0, 0, 0),
        one(0x85, 0, 0, 0, REDIRECT_PEER),
        one(0x95, 0, 0, 0, 0),
        // Nobody's: on to the next program, and to the bridge (`TCX_NEXT`).
        one(0xb7, 0, 0, 0, -1),
        one(0x95, 0, 0, 0, 0),
    ]
    .concat()
}
