// One container: its life, its figures, its networks, its log.

import { announce, card, facts, failure, fill, h, s, to } from "./dom.js";
import { container as find, get, listen, path, post, state } from "./data.js";
import { ago, bytes, clock, date, number, percent, plain, t } from "./format.js";
import { happened, rates, status } from "./lists.js";

const PERIOD = 2000;
const SAMPLES = 60;
const [WIDTH, HEIGHT] = [240, 44];

/** A line of the last values; `most`: what is at its top, if that is known. */
function spark(values, most) {
  const top = Math.max(most ?? 0, ...values, 1e-9);
  const point = (value, at) => `${((at + SAMPLES - values.length) / (SAMPLES - 1)) * WIDTH} ${HEIGHT - 2 - (value / top) * (HEIGHT - 6)}`;
  const line = values.map(point).join(" L");
  const left = ((SAMPLES - values.length) / (SAMPLES - 1)) * WIDTH;
  return s("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    values.length > 1 ? [s("path", { class: "area", d: `M${left} ${HEIGHT} L${line} L${WIDTH} ${HEIGHT}Z` }), s("path", { class: "line", d: `M${line}` })] : null);
}

function figure(name, value, more, values, most) {
  return h("div", { class: "figure" }, h("div", { class: "muted" }, name), h("div", { class: "value" }, value), h("div", { class: "muted" }, more), spark(values, most));
}

/** What it takes of the host, looked at again and again. */
function figures(name) {
  const el = h("div", { class: "figures" });
  const past = [];
  let before = null;
  async function look() {
    if (document.hidden) return;
    const all = await get(path("containers", name, "figures")).catch(() => null);
    const now = all && Object.values(all.containers)[0];
    if (!now) {
      before = null;
      fill(el, h("p", { class: "muted" }, t("figures.none")));
      return;
    }
    if (before) past.push(rates(now, before));
    before = now;
    if (past.length > SAMPLES) past.shift();
    const last = past.at(-1) ?? rates(now, null);
    const of = (key) => past.map((one) => one[key]);
    const limit = last.pids_limit ? `/ ${number(last.pids_limit)}` : "";
    fill(el, figure(t("cpu"), percent(last.cpu), t("figures.cpu"), of("cpu"), 10),
      figure(t("memory"), bytes(last.memory), `/ ${bytes(last.limit)}`, of("memory"), last.memory * 1.3),
      figure(t("figures.net"), `↓ ${bytes(last.received)}/s`, `↑ ${bytes(last.sent)}/s`, past.map((one) => one.received + one.sent), 1000),
      figure(t("figures.disk"), `${t("figures.read")} ${bytes(last.read)}/s`, `${t("figures.written")} ${bytes(last.written)}/s · ${t("figures.pids", { count: number(last.pids) })} ${limit}`, past.map((one) => one.read + one.written), 1000));
  }
  const timer = setInterval(look, PERIOD);
  look();
  return { el, end: () => clearInterval(timer) };
}

/** Its log: the last lines, with those that come. */
function log(name) {
  const list = h("ol", { class: "log mono", tabindex: 0, "aria-label": t("log"), role: "list" });
  const note = h("span", { class: "muted" });
  const follows = h("input", { type: "checkbox", id: "log-follow", checked: true });
  const search = h("input", { type: "search", id: "log-search", placeholder: t("log.search"), "aria-label": t("log.search"), oninput: () => show() });
  const tail = h("select", { id: "log-tail", "aria-label": t("log.lines"), onchange: () => { seen = null; look(); } }, [200, 1000].map((count) => h("option", { value: count }, number(count))));
  let [page, seen, ended, timer] = [null, null, false, 0];
  function show() {
    const wanted = search.value.toLowerCase();
    const lines = page.lines.map((line) => ({ ...line, text: plain(line.text) })).filter((line) => !wanted || line.text.toLowerCase().includes(wanted));
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const [count, first] = [lines.length, list.childElementCount === 0];
    fill(list, lines.map((line) => h("li", { class: line.stream === "stderr" ? "err" : null },
      h("time", {}, clock(new Date(line.time))), h("span", { class: "stream" }, line.stream === "stderr" ? "err" : "out"), h("span", { class: "text" }, line.text))));
    if (!count) list.append(h("li", { class: "muted" }, t("log.empty")));
    note.textContent = page.cut ? t("log.cut", { count: number(page.lines.length) }) : t("log.all", { count: number(page.lines.length) });
    if (atEnd || first) list.scrollTop = list.scrollHeight;
  }
  async function look() {
    clearTimeout(timer);
    const began = performance.now();
    if (!document.hidden && (follows.checked || !seen)) {
      try {
        const now = await get(path("containers", name, "log"), { tail: tail.value, ...(seen ? { seen } : {}) });
        seen = now.seen;
        if (!now.same) {
          page = now;
          show();
        }
      } catch (error) {
        if (!error.gone) fill(list, h("li", {}, failure(error)));
      }
    }
    // A long log takes long to read: it is not read all the time.
    if (!ended) timer = setTimeout(look, Math.max(PERIOD, 10 * (performance.now() - began)));
  }
  look();
  const el = h("section", { class: "card wide" }, h("div", { class: "title" }, h("h2", {}, t("log")), note,
    h("span", { class: "grow" }), search, tail, h("label", { for: "log-follow", class: "check" }, follows, t("log.follow"))), list);
  return { el, end() { ended = true; clearTimeout(timer); } };
}

/** What may be done to it, where changes are allowed. */
function actions(row) {
  if (!state.about?.changes) return null;
  const runs = ["running", "paused", "restarting"].includes(row.status);
  const told = h("div", {});
  const act = (what, sure) => async (event) => {
    const button = event.currentTarget;
    // A second click is the answer to a question.
    if (sure && button.dataset.sure !== "yes") {
      button.dataset.sure = "yes";
      button.textContent = t("act.sure");
      setTimeout(() => { delete button.dataset.sure; button.textContent = t("act." + what); }, 4000);
      return;
    }
    for (const one of el.querySelectorAll("button")) one.disabled = true;
    fill(told, h("p", { class: "muted" }, t("wait")));
    try {
      await post(path("containers", row.name, what));
      announce(t("act.done"));
      fill(told);
      if (what === "remove") location.hash = to("containers");
    } catch (error) {
      fill(told, failure(error));
    }
    for (const one of el.querySelectorAll("button")) one.disabled = false;
  };
  const button = (what, sure) => h("button", { type: "button", class: sure ? "bad" : null, onclick: act(what, sure) }, t("act." + what));
  const el = h("div", {}, h("div", { class: "actions" }, runs ? [button("stop", true), button("restart", true)] : [button("start"), button("remove", true)]), told);
  return el;
}

/** Networks that it is on, and where changes are allowed, those that it could be on. */
function networks(row, found) {
  const told = h("div", {});
  const act = (network, what) => async () => {
    try {
      await post(path("networks", network, what, row.name));
      fill(told);
      announce(t("act.done"));
    } catch (error) {
      fill(told, failure(error));
    }
  };
  const mine = Object.entries(found.NetworkSettings.Networks);
  const names = (one) => [...new Set([...(one.DNSNames ?? []), ...(one.Aliases ?? [])])];
  const blocks = mine.map(([name, one]) => h("div", { class: "sub" }, h("h3", {}, h("a", { href: to("networks", name) }, name)),
    facts([t("address"), h("span", { class: "mono" }, [one.IPAddress && `${one.IPAddress}/${one.IPPrefixLen}`, one.GlobalIPv6Address && `${one.GlobalIPv6Address}/${one.GlobalIPv6PrefixLen}`].filter(Boolean).join(", ") || "–")],
      [t("gateway"), h("span", { class: "mono" }, [one.Gateway, one.IPv6Gateway].filter(Boolean).join(", ") || "–")], ["MAC", one.MacAddress && h("span", { class: "mono" }, one.MacAddress)], [t("dns.names"), names(one).join(", ")]),
    state.about?.changes ? h("button", { type: "button", class: "bad", onclick: act(name, "disconnect") }, t("act.disconnect")) : null));
  const others = (state.overview?.networks ?? []).filter((one) => !one.predefined && !mine.some(([name]) => name === one.name));
  const choice = h("select", { id: "connect", "aria-label": t("act.connect") }, others.map((one) => h("option", { value: one.name }, one.name)));
  const more = state.about?.changes && others.length ? h("div", { class: "actions" }, choice, h("button", { type: "button", onclick: () => act(choice.value, "connect")() }, t("act.connect"))) : null;
  return card(t("networks"), mine.length ? blocks : h("p", { class: "muted" }, found.HostConfig.NetworkMode), more, told);
}

function life(row, found) {
  const past = state.events.filter((event) => event.Actor.ID === row.id).slice(-12).reverse();
  const health = found.State.Health;
  return card(t("life"), facts([t("created"), `${clock(date(row.created))} (${ago(date(row.created))})`], [t("started"), row.started && `${clock(date(row.started))} (${ago(date(row.started))})`],
    [t("finished"), row.finished && `${clock(date(row.finished))} (${ago(date(row.finished))})`], [t("exitCode"), row.exit_code != null ? String(row.exit_code) : null], [t("error"), row.error],
    [t("restarts"), `${number(found.RestartCount)} (${found.HostConfig.RestartPolicy.Name || "no"})`], ["PID", found.State.Pid || null], [t("health"), health ? t("health." + health.Status) : null]),
    health?.Log?.length ? h("details", {}, h("summary", {}, t("health.log")), h("pre", {}, plain(health.Log.map((one) => `${one.ExitCode} ${one.Output}`).join("\n")))) : null,
    past.length ? h("ol", { class: "events", role: "list" }, past.map(happened)) : null);
}

function program(found) {
  const { Config: config, HostConfig: host } = found;
  const limits = [host.Memory ? bytes(host.Memory) : null, host.NanoCpus ? `${host.NanoCpus / 1e9} CPU` : null, host.PidsLimit ? `${host.PidsLimit} PID` : null].filter(Boolean).join(", ");
  return card(t("program"), facts([t("command"), h("code", {}, [found.Path, ...found.Args].join(" "))], [t("image"), config.Image], [t("user"), config.User || "root"], [t("folder"), config.WorkingDir], [t("host.name"), config.Hostname], [t("limits"), limits],
    [t("rights"), host.Privileged ? t("privileged") : [...(host.CapAdd ?? []).map((cap) => `+${cap}`), ...(host.CapDrop ?? []).map((cap) => `−${cap}`)].join(" ")]),
    h("details", {}, h("summary", {}, t("environment", { count: config.Env.length })), h("pre", {}, plain(config.Env.join("\n")))),
    h("details", {}, h("summary", {}, t("labels", { count: Object.keys(config.Labels).length })), h("pre", {}, plain(Object.entries(config.Labels).map(([key, value]) => `${key}=${value}`).join("\n")))));
}

function mounts(found) {
  if (!found.Mounts.length) return null;
  return card(t("mounts"), h("ul", { class: "plain" }, found.Mounts.map((one) => h("li", {}, h("code", {}, one.Destination), " ", h("span", { class: "tag" }, one.Type), one.RW ? null : h("span", { class: "tag" }, t("readOnly")), h("div", { class: "muted wrap" }, one.Name ?? one.Source)))));
}

/** The view. */
export function container(root, _, __, name) {
  const head = h("div", { class: "title" });
  const trouble = h("div", {});
  const cards = h("div", { class: "cards" });
  const [numbers, lines] = [figures(name), log(name)];
  const raw = h("pre", { class: "raw", tabindex: 0 });
  fill(root, h("nav", { class: "crumbs", "aria-label": t("crumbs") }, h("a", { href: to("containers") }, t("containers"))), head, trouble,
    h("section", { class: "card wide" }, h("h2", {}, t("figures")), numbers.el), cards, lines.el, h("details", { class: "card wide" }, h("summary", {}, "inspect"), raw));
  let [sign, acts] = ["", null];
  async function draw() {
    const row = find(name);
    let found;
    try {
      found = await get(path("containers", name));
    } catch (error) {
      if (!error.gone) fill(trouble, failure(error));
      return;
    }
    if (!row) return;
    fill(trouble);
    const now = JSON.stringify([row, found, state.events.length, state.about]);
    if (now === sign) return;
    if (acts?.dataset.status !== row.status) {
      acts = actions(row);
      if (acts) acts.dataset.status = row.status;
      fill(head, h("h1", {}, row.name), status(row), h("span", { class: "grow" }), h("a", { class: "button", href: `#/why?${new URLSearchParams({ from: row.name, to: "outside" })}` }, t("map.whyFrom")), acts);
    }
    sign = now;
    // What somebody has opened stays open.
    const open = [...cards.querySelectorAll("details")].map((el) => el.open);
    fill(cards, life(row, found), networks(row, found), ports(row), program(found), mounts(found));
    cards.querySelectorAll("details").forEach((el, at) => { el.open = open[at] ?? false; });
    raw.textContent = plain(JSON.stringify(found, null, 2));
  }
  const silent = listen((what) => { if (what === "overview") draw(); });
  draw();
  return { end() { silent(); numbers.end(); lines.end(); } };
}

function ports(row) {
  if (!row.ports.length && !row.exposed.length) return null;
  const host = (port) => (port.host_ip.includes(":") ? `[${port.host_ip}]` : port.host_ip);
  const last = (first, count) => (count > 1 ? `–${first + count - 1}` : "");
  return card(t("ports"), h("ul", { class: "plain mono" }, row.ports.map((port) => h("li", {}, `${host(port)}:${port.host_port}${last(port.host_port, port.count)} → ${port.container_port}${last(port.container_port, port.count)}/${port.proto}`)),
    row.exposed.map((port) => h("li", { class: "muted" }, `${port.port}${last(port.port, port.count)}/${port.proto} ${t("ports.exposed")}`))));
}
