// Listings: containers, networks, ports, hosts, events.

import { failure, fill, h, sync, to } from "./dom.js";
import { get, listen, post, state } from "./data.js";
import { ago, bytes, clock, date, known, number, percent, published, t } from "./format.js";

const alive = (row) => ["running", "paused", "restarting"].includes(row.status);

/** How a container is, as a mark with a word. */
export function status(row) {
  const words = [t("status." + row.status)];
  if (row.health && row.health !== "none") words.push(t("health." + row.health));
  if (row.status === "exited") words.push(`(${row.exit_code ?? 0})`);
  return h("span", { class: "status" }, h("span", { class: `dot ${row.status} ${row.health ?? ""}`, "aria-hidden": "true" }), words.join(" "));
}

const text = (value) => String(value ?? "");
const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : text(a).localeCompare(text(b), undefined, { numeric: true }));

/** A table that can be sorted. A column: its words, its cell, what it is sorted by, whether it is a number. */
export function table(caption, columns, key) {
  let [by, down, rows] = [null, false, []];
  const heads = columns.map((column, at) => {
    const sort = () => {
      [down, by] = [by === at && !down, at];
      heads.forEach((head, i) => head.setAttribute("aria-sort", i === by ? (down ? "descending" : "ascending") : "none"));
      show(rows);
    };
    return h("th", { scope: "col", class: column.number ? "number" : null, "aria-sort": "none" },
      column.sort ? h("button", { type: "button", onclick: sort }, column.title) : column.title || h("span", { class: "sr" }, t("actions")));
  });
  const body = h("tbody", {});
  const none = h("p", { class: "muted", hidden: true }, t("nothing"));
  const el = h("div", { class: "scroll" }, h("table", {}, h("caption", { class: "sr" }, caption), h("thead", {}, h("tr", {}, heads)), body), none);
  const line = (row) => h("tr", {}, columns.map((column) =>
    h("td", { class: column.number ? "number" : column.cls, "data-label": column.title }, column.cell(row) ?? "")));
  function show(all) {
    rows = all;
    const order = by == null ? all : [...all].sort((a, b) => compare(columns[by].sort(a), columns[by].sort(b)) * (down ? -1 : 1));
    sync(body, order, key, line);
    none.hidden = all.length > 0;
  }
  return { el, show };
}

/** Whether a row has what is searched for. */
const fits = (row, filter) => !filter || JSON.stringify(row).toLowerCase().includes(filter);

/** A view that is one table: drawn again when something has changed. */
function listing(root, title, columns, key, rows, filter, more) {
  const made = table(title, columns, key);
  const trouble = h("div", {});
  const count = h("span", { class: "count" });
  const draw = () => {
    fill(trouble, state.failure ? failure(state.failure) : null);
    const all = state.overview ? rows(state.overview).filter((row) => fits(row, filter())) : [];
    count.textContent = number(all.length);
    made.show(all);
  };
  fill(root, h("div", { class: "title" }, h("h1", {}, title, count), more), trouble, made.el);
  const silent = listen((what) => { if (what === "overview") draw(); });
  draw();
  return { filtered: draw, redraw: draw, end: silent };
}

/** Rates between two looks at the figures. */
export function rates(now, before) {
  const seconds = before ? (now.at - before.at) / 1e6 : 0;
  const rate = (name) => (seconds > 0 ? Math.max(0, now[name] - before[name]) / seconds : 0);
  return { cpu: rate("cpu") / 1e4, memory: now.memory, limit: now.memory_limit, received: rate("received"), sent: rate("sent"),
    read: rate("read"), written: rate("written"), pids: now.pids, pids_limit: now.pids_limit };
}

/** From one look at all figures to the next. */
const PERIOD = 3000;

export function containers(root, _, filter) {
  let before = {};
  let figures = {};
  const networks = (row) => (row.attachments.length ? row.attachments.map((a) => h("div", {}, h("a", { href: to("networks", a.network) }, a.network), " ",
    h("span", { class: "mono muted" }, a.addresses.map((net) => net.split("/")[0]).join(" ")))) : h("span", { class: "muted" }, row.asked.join(", ")));
  const columns = [
    { title: t("name"), cell: (row) => h("a", { href: to("containers", row.name), class: "strong" }, row.name), sort: (row) => row.name },
    { title: t("status"), cell: status, sort: (row) => row.status },
    { title: t("image"), cell: (row) => row.image, sort: (row) => row.image, cls: "wrap" },
    { title: t("networks"), cell: networks },
    { title: t("ports"), cell: (row) => row.ports.map((port) => h("div", { class: "mono" }, published(port))) },
    { title: t("cpu"), cell: (row) => (row.use ? percent(row.use.cpu) : "–"), sort: (row) => row.use?.cpu ?? -1, number: true },
    { title: t("memory"), cell: (row) => (row.use ? bytes(row.use.memory) : "–"), sort: (row) => row.use?.memory ?? -1, number: true },
    { title: t("since"), cell: (row) => ago(date(alive(row) ? row.started : row.finished ?? row.created)), sort: (row) => row.started ?? row.created, number: true },
  ];
  const rows = (overview) => overview.containers.map((row) => ({ ...row, use: figures[row.id] }));
  const view = listing(root, t("containers"), columns, (row) => row.id, rows, filter);
  async function look() {
    if (document.hidden) return;
    const { containers: now } = await get("figures").catch(() => ({ containers: {} }));
    figures = Object.fromEntries(Object.entries(now).map(([id, one]) => [id, rates(one, before[id])]));
    before = now;
    view.redraw();
  }
  const timer = setInterval(look, PERIOD);
  look();
  return { ...view, end() { clearInterval(timer); view.end(); } };
}

/** How full a pool of addresses is. */
export function pool(subnet) {
  const all = subnet.used + subnet.free;
  const share = all ? subnet.used / all : 0;
  return h("div", { class: "pool" }, h("span", { class: "mono" }, subnet.subnet),
    h("meter", { min: 0, max: 1, high: 0.85, value: share, "aria-label": t("pool.used") }), h("span", { class: "muted" }, t("pool.of", { used: number(subnet.used), all: number(all) })));
}

export function networks(root, _, filter) {
  const columns = [
    { title: t("name"), cell: (row) => h("a", { href: to("networks", row.name), class: "strong" }, row.name), sort: (row) => row.name },
    { title: t("driver"), cell: (row) => row.driver.driver, sort: (row) => row.driver.driver },
    { title: t("scope"), cell: (row) => t("scope." + row.scope), sort: (row) => row.scope },
    { title: t("addresses"), cell: (row) => row.subnets.map(pool) },
    { title: t("containers"), cell: (row) => number(row.attachments.length), sort: (row) => row.attachments.length, number: true },
    { title: t("interface"), cell: (row) => row.interface, sort: (row) => row.interface },
    { title: t("notes"), cell: (row) => [row.internal ? h("span", { class: "tag" }, t("internal")) : null, row.obstacles.map((one) => h("span", { class: "tag bad" }, `${t("obstacle")}: ${one.family} ${one.table} ${one.chain}`))] },
  ];
  const found = h("div", {});
  const check = h("button", { type: "button", onclick: () => look(false) }, t("check"));
  async function look(repair) {
    check.disabled = true;
    fill(found, h("p", { class: "muted" }, t("wait")));
    try {
      if (repair) await post("check/repair");
      fill(found, checked(await get("check"), () => look(true)));
    } catch (error) {
      fill(found, failure(error));
    }
    check.disabled = false;
  }
  const view = listing(root, t("networks"), columns, (row) => row.id, (overview) => overview.networks, filter, check);
  root.children[0].after(found);
  return view;
}

function checked(view, repair) {
  const fine = !view.differences.length && !view.around.length;
  return h("section", { class: "card", "aria-label": t("check") },
    h("p", { class: fine ? "verdict yes" : "verdict no" }, fine ? t("check.fine", { looked: number(view.looked) }) : t("check.found", { count: number(view.differences.length + view.around.length) })),
    h("ul", { lang: "en" }, view.differences.map((one) => h("li", {}, h("strong", {}, one.owner), ` (${one.place}): ${one.what}`)),
      view.around.map((one) => h("li", {}, one.what, one.repair ? [" ", h("code", {}, one.repair)] : null)),
      view.unseen.map((one) => h("li", { class: "muted" }, `${t("unseen")}: ${one}`))),
    view.differences.length && state.about?.changes ? h("button", { type: "button", onclick: repair }, t("repair")) : null);
}

export function ports(root, _, filter) {
  const columns = [
    { title: t("published"), cell: (row) => h("span", { class: "mono" }, published(row.port)), sort: (row) => row.port.host_port },
    { title: t("container"), cell: (row) => h("a", { href: to("containers", row.name), class: "strong" }, row.name), sort: (row) => row.name },
    { title: t("image"), cell: (row) => row.image, sort: (row) => row.image },
    { title: t("why"), cell: (row) => h("a", { href: `#/why?${new URLSearchParams({ from: "outside", to: row.name, port: row.port.container_port, proto: row.port.proto })}` }, t("ports.why")) },
  ];
  const rows = (overview) => overview.containers.flatMap((row) => row.ports.map((port) => ({ name: row.name, image: row.image, port })));
  return listing(root, t("ports"), columns, (row) => `${row.name} ${published(row.port)}`, rows, filter);
}

export function hosts(root) {
  const columns = [
    { title: t("name"), cell: (row) => [h("strong", {}, row.name), row.own ? h("span", { class: "tag" }, t("map.host")) : null], sort: (row) => row.name },
    { title: t("status"), cell: (row) => h("span", { class: "status" }, h("span", { class: `dot ${row.state === "ready" ? "running" : "exited unhealthy"}`, "aria-hidden": "true" }), t("host." + row.state)), sort: (row) => row.state },
    { title: t("address"), cell: (row) => h("span", { class: "mono" }, row.address), sort: (row) => row.address },
    { title: t("networks"), cell: (row) => number(row.networks), sort: (row) => row.networks, number: true },
    { title: t("containers"), cell: (row) => number(row.containers), sort: (row) => row.containers, number: true },
    { title: t("keys"), cell: (row) => row.keys.map((key) => h("div", { class: "mono" }, `${key.generation}: ${key.public.slice(0, 12)}…`)) },
    { title: t("seen"), cell: (row) => ago(date(row.seen)), sort: (row) => row.seen, number: true },
  ];
  const made = table(t("hosts"), columns, (row) => row.id);
  const trouble = h("div", {});
  fill(root, h("h1", {}, t("hosts")), trouble, made.el);
  async function draw() {
    try {
      const { cluster, nodes } = await get("nodes");
      made.show(nodes);
      made.el.hidden = !cluster;
      fill(trouble, cluster ? null : h("p", {}, t("hosts.none")));
    } catch (error) {
      if (!error.gone) fill(trouble, failure(error));
    }
  }
  const silent = listen((what) => { if (what === "overview") draw(); });
  draw();
  return { end: silent };
}

/** What an event is about: its name, or the beginning of its id. */
export function subject(event) {
  const name = event.Actor.Attributes.name ?? event.Actor.ID.slice(0, 12);
  if (event.Type === "container" && event.Action !== "destroy") return h("a", { href: to("containers", name) }, name);
  if (event.Type === "network" && event.Action !== "destroy") return h("a", { href: to("networks", name) }, name);
  return name;
}

/** A line of what has happened. */
export function happened(event) {
  const kind = known("object." + event.Type) ? t("object." + event.Type) : event.Type;
  const { exitCode } = event.Actor.Attributes;
  return h("li", {}, h("time", { class: "mono muted" }, clock(new Date(event.timeNano / 1e6))), h("span", { class: "tag" }, kind),
    h("strong", {}, event.Action), h("span", {}, subject(event)), exitCode ? h("span", { class: "muted" }, t("event.code", { code: exitCode })) : null);
}

export function events(root, _, filter) {
  const list = h("ol", { class: "events", role: "list" });
  const none = h("p", { class: "muted" }, t("nothing"));
  fill(root, h("h1", {}, t("events")), h("p", { class: "muted" }, t("events.about")), list, none);
  const draw = () => {
    const all = state.events.filter((event) => fits(event, filter())).reverse();
    none.hidden = all.length > 0;
    sync(list, all, (event) => `${event.timeNano} ${event.Action} ${event.Actor.ID}`, happened);
  };
  const silent = listen((what) => { if (what === "events") draw(); });
  draw();
  return { filtered: draw, end: silent };
}
