// One network: its addresses, its links, who is on it, its rules, its names.

import { card, facts, failure, fill, h, to } from "./dom.js";
import { get, listen, path } from "./data.js";
import { bytes, clock, known, number, published, t } from "./format.js";
import { pool, table } from "./lists.js";

const PERIOD = 3000;
/** What a DNS answer's code means (RFC 1035, 4.1.1). */
const CODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

const traffic = (one) => [h("div", {}, bytes(one.bytes)), one.dropped ? h("div", { class: "muted" }, t("dropped", { count: number(one.dropped) })) : null];
const mono = (text) => h("span", { class: "mono" }, text);

function link(one) {
  if (!one) return "–";
  return [mono(one.name), " ", one.state === "up" ? null : h("span", { class: "tag bad" }, t("link." + one.state))];
}

const LINKS = () => [
  { title: t("link"), cell: link },
  { title: t("status"), cell: (one) => t("link." + one.state) },
  { title: "MTU", cell: (one) => one.mtu ?? "–", number: true },
  { title: "MAC", cell: (one) => mono(one.mac ?? "–") },
  { title: t("received"), cell: (one) => traffic(one.received), number: true },
  { title: t("sent"), cell: (one) => traffic(one.sent), number: true },
];

const ENDPOINTS = () => [
  { title: t("container"), cell: (one) => h("a", { href: to("containers", one.attachment.container_name), class: "strong" }, one.attachment.container_name), sort: (one) => one.attachment.container_name },
  { title: t("address"), cell: (one) => one.attachment.addresses.map((net) => h("div", { class: "mono" }, net)), sort: (one) => one.attachment.addresses[0] },
  { title: t("dns.names"), cell: (one) => one.names.join(", "), cls: "wrap" },
  { title: t("link"), cell: (one) => [h("div", {}, link(one.inside)), h("div", { class: "muted" }, link(one.outside))] },
  { title: t("ports"), cell: (one) => one.ports.map((port) => h("div", { class: "mono" }, published(port))) },
  { title: t("received"), cell: (one) => (one.inside ? traffic(one.inside.received) : "–"), sort: (one) => one.inside?.received.bytes ?? 0, number: true },
  { title: t("sent"), cell: (one) => (one.inside ? traffic(one.inside.sent) : "–"), sort: (one) => one.inside?.sent.bytes ?? 0, number: true },
];

const REMOTES = () => [
  { title: t("container"), cell: (one) => one.name, sort: (one) => one.name },
  { title: t("address"), cell: (one) => mono(one.addresses.join(", ")), sort: (one) => one.addresses[0] },
  { title: "MAC", cell: (one) => mono(one.mac) },
  { title: t("host"), cell: (one) => [one.host, " ", h("span", { class: "mono muted" }, one.address ?? "")], sort: (one) => one.host },
];

const RULES = () => [
  { title: t("rule"), cell: (one) => one.comment || "–", sort: (one) => one.comment, cls: "wrap" },
  { title: t("chain"), cell: (one) => mono(`${one.table} ${one.chain}`), sort: (one) => one.chain },
  { title: t("packets"), cell: (one) => number(one.packets), sort: (one) => one.packets, number: true },
  { title: t("bytes"), cell: (one) => bytes(one.bytes), sort: (one) => one.bytes, number: true },
];

const QUERIES = () => [
  { title: t("time"), cell: (one) => h("time", { class: "mono" }, clock(new Date(one.at))), sort: (one) => one.at },
  { title: t("container"), cell: (one) => h("a", { href: to("containers", one.container_name) }, one.container_name), sort: (one) => one.container_name },
  { title: t("dns.question"), cell: (one) => [mono(one.name), " ", h("span", { class: "tag" }, one.kind || "?")], sort: (one) => one.name, cls: "wrap" },
  { title: t("dns.answer"), cell: (one) => [h("span", { class: one.code ? "fault" : null }, CODES[one.code] ?? String(one.code)), one.code ? null : ` (${t("dns.records", { count: one.records })})`], sort: (one) => one.code },
  { title: t("dns.from"), cell: (one) => t(one.outside ? "dns.outside" : "dns.memory"), sort: (one) => Number(one.outside) },
];

/** The view. */
export function network(root, _, __, name) {
  const trouble = h("div", {});
  const head = h("div", { class: "title" });
  const about = h("div", { class: "cards" });
  const made = {
    endpoints: table(t("containers"), ENDPOINTS(), (one) => one.attachment.container),
    remotes: table(t("remotes"), REMOTES(), (one) => `${one.host} ${one.name}`),
    links: table(t("links"), LINKS(), (one) => one.name),
    rules: table(t("rules"), RULES(), (one) => `${one.table} ${one.handle}`),
    queries: table(t("dns.last"), QUERIES(), (one) => `${one.at} ${one.container} ${one.name} ${one.kind} ${one.nth}`),
  };
  const wide = (title, one, note) => h("section", { class: "card wide" }, h("h2", {}, title), note ? h("p", { class: "muted" }, note) : null, one.el);
  const remotes = wide(t("remotes"), made.remotes);
  const unseen = h("div", {});
  fill(root, h("nav", { class: "crumbs", "aria-label": t("crumbs") }, h("a", { href: to("networks") }, t("networks"))), head, trouble, about,
    wide(t("containers"), made.endpoints), remotes, wide(t("links"), made.links), wide(t("rules"), made.rules, t("rules.about")), wide(t("dns.last"), made.queries, t("dns.about")), unseen);
  let [ended, sign] = [false, ""];
  function show(view) {
    const { network: info } = view;
    const tell = JSON.stringify([info, view.mtu_from]);
    if (tell !== sign) {
      sign = tell;
      fill(head, h("h1", {}, info.name), h("span", { class: "tag" }, info.driver.driver), h("span", { class: "tag" }, t("scope." + info.scope)), info.internal ? h("span", { class: "tag" }, t("internal")) : null);
      const options = Object.entries(info.driver).filter(([key, value]) => key !== "driver" && value != null && value !== false && typeof value !== "object");
      fill(about, card(t("pools"), info.subnets.length ? info.subnets.map((subnet) => h("div", { class: "sub" }, pool(subnet), facts([t("gateway"), subnet.gateway && mono(subnet.gateway)], [t("pool.range"), subnet.ip_range && mono(subnet.ip_range)],
        [t("pool.kept"), Object.entries(subnet.aux_addresses).map(([key, value]) => `${key}=${value}`).join(", ")]))) : h("p", { class: "muted" }, t("nothing"))),
        card(t("about"), facts([t("interface"), info.interface && mono(info.interface)], ["MTU", info.mtu && `${info.mtu} (${known("mtu." + view.mtu_from) ? t("mtu." + view.mtu_from) : view.mtu_from})`], ["DNS", info.dns.join(", ")],
          [t("created"), clock(new Date(info.created * 1000))], ["ID", h("span", { class: "mono wrap" }, info.id.slice(0, 12))], ...options.map(([key, value]) => [key, String(value)]), ...Object.entries(info.labels).map(([key, value]) => [key, value]))),
        info.obstacles.length ? card(t("obstacle"), h("ul", {}, info.obstacles.map((one) => h("li", {}, mono(`${one.family} ${one.table} ${one.chain}`), h("div", {}, h("code", {}, one.command)))))) : null);
    }
    made.endpoints.show(view.endpoints);
    made.remotes.show(view.remotes);
    remotes.hidden = !view.remotes.length;
    made.links.show(view.links);
    made.rules.show(view.rules);
    const seen = new Map();
    made.queries.show(view.queries.map((one) => {
      const key = `${one.at} ${one.container} ${one.name} ${one.kind}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
      return { ...one, nth: seen.get(key) };
    }));
    fill(unseen, view.unseen.map((one) => h("p", { class: "muted", lang: "en" }, `${t("unseen")}: ${one}`)));
  }
  async function look() {
    if (document.hidden) return;
    try {
      const view = await get(path("networks", name));
      if (ended) return;
      fill(trouble);
      show(view);
    } catch (error) {
      if (!error.gone) fill(trouble, failure(error));
    }
  }
  const timer = setInterval(look, PERIOD);
  const silent = listen((what) => { if (what === "overview") look(); });
  look();
  return { end() { ended = true; clearInterval(timer); silent(); } };
}
