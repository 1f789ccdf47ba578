// The topology: a lane for each network, with its containers on its line; the world outside and this host above them.

import { announce, facts, failure, fill, h, s, sync, to } from "./dom.js";
import { container, listen, state } from "./data.js";
import { number, publishedShort, t } from "./format.js";
import * as lines from "./lines.js";
import { ask, verdict } from "./why.js";

/** Containers of a lane that are shown before somebody asks for all: of a host with many, fewer. */
const SHOWN = 24;
const SHOWN_OF_MANY = 8;
const MANY = 120;
const ZOOMS = [0.7, 0.85, 1, 1.15, 1.3];
const OTHERS = "+others";
const IDLE = "+idle";

/** What outlives a change of views. */
const kept = { zoom: 2, whole: new Set(), selected: null, from: null, to: null, asking: false, answer: null };

const hue = (at) => at % 6;
const dot = (status, health) => h("span", { class: `dot ${status} ${health ?? ""}`, "aria-hidden": "true" });

/** Ports in short; that of IPv6 reads like that of IPv4. */
const short = (ports) => [...new Set(ports.map(publishedShort))];

/** The lanes: each network with its containers, then those that are on none, and those that do not run. */
function lanes(overview, filter) {
  const { graph } = overview;
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  const rows = new Map(overview.containers.map((row) => [row.name, row]));
  const drawn = new Set();
  const made = graph.nodes.filter((node) => node.kind === "network").map((node, at) => {
    const lane = { id: node.id, name: node.name, details: node.details, hue: hue(at), ways: [], chips: [], hosts: [] };
    for (const edge of graph.edges) {
      if (edge.from === node.id) {
        const end = nodes.get(edge.to);
        if (end?.kind === "host") lane.hosts.push({ name: end.name, details: end.details, by: edge.labels.join(", "), chips: [] });
        else if (end) lane.ways.push({ kind: end.kind, name: end.name, label: edge.labels.join(", ") });
      } else if (edge.to === node.id) {
        const one = nodes.get(edge.from);
        if (one?.kind !== "container") continue;
        drawn.add(one.name);
        const row = rows.get(one.name);
        const ports = graph.edges.filter((e) => e.to === one.id && e.via === node.id).flatMap((e) => e.labels);
        lane.chips.push({ name: one.name, status: row?.status ?? "running", health: row?.health ?? "none", image: row?.image,
          addresses: edge.labels.slice(1), ends: edge.labels[0], published: ports.length,
          ports: (row?.ports ?? []).filter((_, at) => at < ports.length) });
      }
    }
    for (const host of lane.hosts) {
      const there = graph.nodes.find((n) => n.kind === "host" && n.name === host.name);
      const on = graph.edges.filter((e) => e.to === there?.id && nodes.get(e.from)?.kind === "container");
      host.chips = on.map((e) => ({ name: nodes.get(e.from).name, addresses: e.labels, status: "running", health: "none", remote: true, ports: [] }));
    }
    return lane;
  });
  const rest = overview.containers.filter((row) => !drawn.has(row.name));
  const chip = (row) => ({ name: row.name, status: row.status, health: row.health, image: row.image, addresses: row.asked, ports: [] });
  const alive = (row) => ["running", "paused", "restarting"].includes(row.status);
  made.push({ id: OTHERS, chips: rest.filter(alive).map(chip), details: [], ways: [], hosts: [] });
  made.push({ id: IDLE, chips: rest.filter((row) => !alive(row)).map(chip), details: [], ways: [], hosts: [] });
  for (const lane of made) lane.chips.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  return made.map((lane) => narrowed(lane, filter)).filter((lane) => lane.chips.length || lane.hosts.length || (lane.name && !lane.emptied));
}

/** Only what fits the search. */
function narrowed(lane, filter) {
  if (!filter) return lane;
  const has = (text) => String(text ?? "").toLowerCase().includes(filter);
  if (has(lane.name) || lane.details.some(has)) return lane;
  const fits = (chip) => has(chip.name) || has(chip.image) || chip.addresses.some(has) || chip.ports.some((port) => has(publishedShort(port)));
  const hosts = lane.hosts.map((host) => ({ ...host, chips: host.chips.filter(fits) })).filter((host) => host.chips.length || has(host.name));
  const chips = lane.chips.filter(fits);
  return { ...lane, chips, hosts, emptied: !chips.length && !hosts.length };
}

/** The view. */
export function map(root, _, filter) {
  const world = h("div", { class: "world" });
  const sheet = s("svg", { class: "wires", "aria-hidden": "true" });
  const tops = h("div", { class: "tops" });
  const all = h("div", { class: "lanes" });
  const trouble = h("div", {});
  const panel = h("aside", { class: "panel", "aria-label": t("map.panel") });
  const whyButton = h("button", { type: "button", "aria-pressed": "false", onclick: () => asking(!kept.asking) }, t("map.why"));
  const zoomed = h("output", { class: "zoomed" });
  const tools = h("div", { class: "tools" }, whyButton,
    h("span", { class: "group", role: "group", "aria-label": t("map.zoom") },
      h("button", { type: "button", "aria-label": t("map.smaller"), onclick: () => zoom(-1) }, "−"), zoomed,
      h("button", { type: "button", "aria-label": t("map.larger"), onclick: () => zoom(1) }, "+")));
  world.append(sheet, tops, all);
  fill(root, h("h1", { class: "sr" }, t("nav.map")), trouble, tools, h("div", { class: "split" }, h("div", { class: "canvas" }, world), panel));

  const place = (name) => [...world.querySelectorAll("[data-node]")].filter((el) => el.dataset.node === name);

  function zoom(by) {
    kept.zoom = Math.min(ZOOMS.length - 1, Math.max(0, kept.zoom + by));
    world.style.setProperty("font-size", `${ZOOMS[kept.zoom]}rem`);
    zoomed.textContent = `${Math.round(ZOOMS[kept.zoom] * 100)} %`;
    redraw();
  }

  function asking(on) {
    Object.assign(kept, { asking: on, from: on ? kept.selected : null, to: null, answer: null });
    announce(on ? t(kept.from ? "map.pickTo" : "map.pickFrom") : "");
    marks();
    side();
  }

  function pick(name) {
    if (!kept.asking) return select(name);
    return choose(name);
  }

  function select(name) {
    Object.assign(kept, { selected: kept.selected === name ? null : name, answer: null, from: null, to: null });
    marks();
    side();
  }

  /** One of the two between which somebody wants to know. */
  async function choose(name) {
    if (!kept.from || kept.to) {
      Object.assign(kept, { asking: true, from: name, to: null, answer: null, selected: name });
      announce(t("map.pickTo"));
    } else if (kept.from !== name) {
      const { from } = kept;
      Object.assign(kept, { to: name, answer: { waits: true }, asking: false });
      marks();
      side();
      const answer = await ask(from, name, "", "tcp");
      if (kept.from !== from || kept.to !== name) return;
      kept.answer = answer;
      announce(answer.error?.message ?? verdict(answer).said);
    }
    marks();
    side();
  }

  function marks() {
    whyButton.setAttribute("aria-pressed", String(kept.asking));
    world.classList.toggle("asking", kept.asking);
    for (const el of world.querySelectorAll("[data-node]")) {
      const { node } = el.dataset;
      const chosen = node === kept.selected || node === kept.from || node === kept.to;
      el.setAttribute("aria-pressed", String(chosen));
      el.classList.toggle("from", node === kept.from);
      el.classList.toggle("to", node === kept.to);
    }
    redraw();
  }

  /** The places that a way leads over: those of its ends and of the hops between them. */
  function over(answer) {
    const stops = [{ name: kept.from }];
    answer.hops.forEach((hop, at) => {
      if (stops.at(-1).name !== hop.place) stops.push({ name: hop.place });
      const stop = stops.at(-1);
      stop.hops = [...(stop.hops ?? []), at + 1];
      stop.broken ||= Boolean(hop.fault);
    });
    if (stops.at(-1).name !== kept.to) stops.push({ name: kept.to });
    const way = [];
    const lane = (el) => el?.closest(".lane");
    const goal = place(kept.to).map(lane);
    const both = place(kept.from).map(lane).find((one) => one && goal.includes(one));
    for (const stop of stops) {
      const there = place(stop.name);
      // Of several places that of the network where the way is, or where it leads; between two containers of one network
      // the host is that network's bridge.
      const bridge = stop.name === "host" && kept.from !== "host" && kept.to !== "host" ? both?.querySelector(".network") : null;
      const el = bridge ?? there.find((one) => lane(one) && lane(one) === both) ?? there.find((one) => lane(one) && lane(one) === lane(way.at(-1)?.el)) ?? there.find((one) => lane(one) && goal.includes(lane(one))) ?? there[0];
      if (!el) continue;
      const text = stop.hops ? (stop.hops.length > 1 ? `${stop.hops[0]}–${stop.hops.at(-1)}` : `${stop.hops[0]}`) : "";
      if (way.at(-1)?.el === el) Object.assign(way.at(-1), { broken: way.at(-1).broken || stop.broken });
      else way.push({ el, text, broken: stop.broken });
    }
    return way;
  }

  function redraw() {
    if (kept.answer?.hops) return lines.way(world, sheet, over(kept.answer));
    if (kept.selected) return lines.join(world, sheet, place(kept.selected));
    return lines.clear(world, sheet);
  }

  function side() {
    const { selected, answer } = kept;
    const idle = !selected && !answer && !kept.asking;
    panel.classList.toggle("idle", idle);
    if (idle) {
      fill(panel, summary());
      return;
    }
    const close = h("button", { type: "button", class: "close", "aria-label": t("close"), onclick: () => { kept.selected = null; asking(false); } }, "✕");
    if (kept.answer || kept.asking) {
      fill(panel, close, h("h2", {}, t("why.title")),
        h("p", {}, h("strong", {}, kept.from ? end(kept.from) : "…"), " → ", h("strong", {}, kept.to ? end(kept.to) : "…")),
        answer ? [answer.waits ? h("p", { class: "muted" }, t("wait")) : answer.error ? failure(answer.error) : verdict(answer).el,
          h("p", {}, h("a", { href: `#/why?${new URLSearchParams({ from: kept.from, to: kept.to })}` }, t("why.more")))]
          : h("p", { class: "muted" }, t(kept.from ? "map.pickTo" : "map.pickFrom")));
      return;
    }
    fill(panel, close, about(selected));
  }

  /** What there is, and which keys there are, while nothing is selected. */
  function summary() {
    const { containers = [], networks = [] } = state.overview ?? {};
    const running = containers.filter((row) => row.attachments.length || row.status === "running").length;
    const ports = new Set(containers.flatMap((row) => row.ports.map((port) => `${port.host_port}/${port.proto}`))).size;
    const keys = ["← → ↑ ↓", "move", "Enter", "open", "Space", "select", "W", "why", "Esc", "clear", "/", "search"];
    return [h("h2", {}, state.about?.host ?? ""), facts([t("map.running"), `${number(running)} / ${number(containers.length)}`], [t("networks"), number(networks.filter((one) => !one.predefined).length)], [t("ports"), number(ports)]),
      h("p", { class: "muted" }, t("map.hint")),
      h("dl", { class: "facts keys" }, keys.map((word, at) => (at % 2 ? h("dd", {}, t("key." + word)) : h("dt", {}, h("kbd", {}, word)))))];
  }

  function about(name) {
    const row = container(name);
    const why = h("button", { type: "button", onclick: () => asking(true) }, t("map.whyFrom"));
    if (!row) return [h("h2", {}, end(name)), h("p", { class: "muted" }, t(place(name).some((el) => el.classList.contains("end")) ? "map.aboutEnd" : "map.aboutRemote")), h("div", { class: "actions" }, why)];
    return [h("h2", {}, dot(row.status, row.health), row.name), h("p", { class: "muted" }, row.image, " · ", t("status." + row.status)),
      h("ul", { class: "plain" }, row.attachments.map((a) => h("li", {}, h("a", { href: to("networks", a.network) }, a.network), " ", h("span", { class: "mono" }, a.addresses.join(", "))))),
      h("ul", { class: "plain" }, short(row.ports).map((port) => h("li", { class: "mono" }, port))),
      h("div", { class: "actions" }, h("a", { class: "button", href: to("containers", row.name) }, t("open")), why)];
  }

  const end = (name) => ({ host: t("map.host"), outside: t("map.outside") })[name] ?? name;

  function node(name, cls, label, ...more) {
    return h("button", { type: "button", class: `node ${cls}`, "data-node": name, "aria-pressed": "false", tabindex: -1, "aria-label": label, onclick: () => pick(name) }, more);
  }

  function chip(lane, one) {
    const label = [one.name, t("status." + one.status), one.health !== "none" ? t("health." + one.health) : "", one.addresses.join(", "),
      one.published ? t("map.publishes", { ports: short(one.ports).join(", ") }) : ""].filter(Boolean).join(", ");
    const el = node(one.name, `chip ${one.status}`, label, dot(one.status, one.health), h("span", { class: "name" }, one.name),
      h("span", { class: "at" }, (one.addresses[0] ?? "").split("/")[0]), one.ports.length ? h("span", { class: "ports" }, short(one.ports).slice(0, 2).map((port) => h("span", {}, port))) : null);
    el.title = one.name;
    return h("li", {}, el);
  }

  function chips(lane, list) {
    const most = (state.overview?.containers.length ?? 0) > MANY ? SHOWN_OF_MANY : SHOWN;
    const whole = kept.whole.has(lane.id) || list.length <= most + 2 || state.filter;
    const shown = whole ? list : list.slice(0, most);
    const ul = h("ul", { class: "chips", role: "list" }, shown.map((one) => chip(lane, one)));
    if (!list.length) ul.append(h("li", { class: "muted none" }, t("map.empty")));
    const fold = () => { kept.whole[kept.whole.has(lane.id) ? "delete" : "add"](lane.id); draw(); };
    if (list.length > most + 2 && !state.filter) {
      ul.append(h("li", {}, h("button", { type: "button", class: "more", "aria-expanded": String(whole), onclick: fold },
        whole ? t("map.fewer") : t("map.more", { count: list.length - most }))));
    }
    return ul;
  }

  function lane(one) {
    const title = one.name ?? t(one.id === IDLE ? "map.idle" : "map.others");
    const cls = one.name ? `lane h${one.hue}` : "lane rest";
    // Its bridge is on its own page.
    const tags = one.details.filter((text) => !text.startsWith("bridge br-")).map((text) => h("span", { class: "tag" }, text));
    const out = one.ways.map((way) => h("span", { class: "way-out", title: `${way.label} → ${way.name}` }, way.kind === "link" ? `${way.name} (${way.label})` : way.label));
    const head = h("div", { class: "network" }, h("h2", {}, one.name ? h("a", { href: to("networks", one.name) }, title) : title, h("span", { class: "count" }, one.chips.length)), h("div", { class: "tags" }, tags));
    const hosts = one.hosts.map((host) => h("div", { class: "away" }, h("h3", {}, host.name, " ", h("span", { class: "muted" }, [host.by, ...host.details].join(" · "))), chips({ id: `${one.id} ${host.name}` }, host.chips)));
    return h("section", { class: cls, "aria-label": title }, h("div", { class: out.length ? "stub" : "stub none" }, out), head, h("div", { class: "bus" }, chips(one, one.chips), hosts));
  }

  function draw() {
    const { overview } = state;
    fill(trouble, state.failure ? failure(state.failure) : null);
    if (!overview) return;
    const list = lanes(overview, filter());
    state.filter = Boolean(filter());
    const host = state.about?.host ?? "";
    sync(tops, [{ name: "outside" }, { name: "host", host }], (one) => one.name, (one) =>
      node(one.name, "end", end(one.name), h("span", { class: "name" }, end(one.name)), one.host ? h("span", { class: "at" }, one.host) : null));
    sync(all, list.map((one) => ({ ...one, whole: kept.whole.has(one.id), filter: filter() })), (one) => one.id, lane);
    if (!list.length) fill(all, h("p", { class: "muted", "data-key": "none" }, t(filter() ? "nothing" : "map.nothing")));
    rove();
    marks();
    side();
  }

  /** One of the places can be reached by Tab; from there the arrows go on. */
  function rove(el = null) {
    const places = [...world.querySelectorAll("[data-node]")];
    const now = el ?? places.find((one) => one.tabIndex === 0) ?? places.find((one) => one.classList.contains("chip")) ?? places[0];
    for (const one of places) one.tabIndex = one === now ? 0 : -1;
  }

  function near(el, key) {
    const places = [...world.querySelectorAll("[data-node], .more")];
    const at = places.indexOf(el);
    if (key === "ArrowRight") return places[at + 1];
    if (key === "ArrowLeft") return places[at - 1];
    if (key === "Home") return places[0];
    if (key === "End") return places.at(-1);
    const box = el.getBoundingClientRect();
    const down = key === "ArrowDown";
    const far = (one) => { const r = one.getBoundingClientRect(); return Math.abs(r.top - box.top) * 4 + Math.abs(r.left - box.left); };
    const side = places.filter((one) => { const r = one.getBoundingClientRect(); return down ? r.top >= box.bottom - 2 : r.bottom <= box.top + 2; });
    return side.sort((a, b) => far(a) - far(b))[0];
  }

  world.addEventListener("keydown", (event) => {
    const el = event.target.closest("[data-node], .more");
    if (!el || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key.startsWith("Arrow") || ["Home", "End"].includes(event.key)) {
      event.preventDefault();
      const next = near(el, event.key);
      if (next?.dataset.node) rove(next);
      next?.focus();
    } else if (event.key === "Enter" && el.dataset.node && !kept.asking) {
      event.preventDefault();
      if (container(el.dataset.node)) location.hash = to("containers", el.dataset.node);
      else select(el.dataset.node);
    } else if (event.key.toLowerCase() === "w" && el.dataset.node) {
      event.preventDefault();
      choose(el.dataset.node);
    }
  });
  world.addEventListener("focusin", (event) => { if (event.target.dataset.node) rove(event.target); });
  world.addEventListener("dblclick", (event) => {
    const name = event.target.closest("[data-node]")?.dataset.node;
    if (name && container(name)) location.hash = to("containers", name);
  });
  const escape = (event) => {
    if (event.key !== "Escape") return;
    kept.selected = null;
    asking(false);
  };
  root.addEventListener("keydown", escape);
  const sized = new ResizeObserver(redraw);
  sized.observe(world);
  const silent = listen((what) => { if (what === "overview") draw(); });
  zoom(0);
  draw();
  return { filtered: draw, end() { silent(); sized.disconnect(); root.removeEventListener("keydown", escape); } };
}
