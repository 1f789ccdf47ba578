// Whether one reaches another, and why not: the way, hop by hop.

import { announce, failure, fill, h, ticks } from "./dom.js";
import { get, listen, state } from "./data.js";
import { known, number, t } from "./format.js";

/** Asks. A failure comes as `{ error }`. */
export function ask(from, to, port, proto) {
  return get("why", { from, to, port, proto }).catch((error) => ({ error }));
}

/** The answer, and what a screen reader hears of it. */
export function verdict(answer) {
  const port = answer.port ? `, ${answer.proto.toUpperCase()} ${answer.port}` : "";
  const said = t("why." + answer.reach, { from: answer.from, to: answer.to + port });
  const hops = answer.hops.map((hop, at) => h("li", { class: hop.fault ? "broken" : "fine" },
    h("span", { class: "step", "aria-hidden": "true" }, hop.fault ? "✕" : at + 1),
    h("div", {}, h("div", { class: "place" }, hop.place, hop.fault ? h("span", { class: "fault" }, known(`fault.${hop.fault}`) ? t("fault." + hop.fault) : hop.fault) : null),
      h("div", { lang: "en" }, ticks(hop.what)),
      hop.evidence.map((text) => h("div", { class: "muted", lang: "en" }, ticks(text))),
      hop.repair.length ? h("div", { class: "repair" }, t("why.repair"), hop.repair.map((line) => h("code", {}, line))) : null)));
  const unseen = answer.unseen.map((text) => h("p", { class: "muted", lang: "en" }, `${t("unseen")}: ${text}`));
  const took = h("p", { class: "muted" }, t("why.took", { time: number(Math.round(answer.took / 100) / 10) }));
  const el = h("div", { class: "answer" }, h("p", { class: `verdict ${answer.reach}` }, said), h("ol", { class: "hops" }, hops), unseen, took);
  return { said, el };
}

/** The view. */
export function why(root, params) {
  const ends = h("datalist", { id: "ends" });
  const field = (name, value, more) => h("input", { id: `why-${name}`, name, value: value ?? "", autocomplete: "off", spellcheck: "false", ...more });
  const [from, target] = [field("from", params.get("from"), { list: "ends", required: true }), field("to", params.get("to"), { list: "ends", required: true })];
  const port = field("port", params.get("port"), { type: "number", min: 1, max: 65535 });
  const proto = h("select", { id: "why-proto", name: "proto" }, ["tcp", "udp", "sctp"].map((name) => h("option", { value: name, selected: params.get("proto") === name }, name.toUpperCase())));
  const result = h("div", { class: "result" });
  const labelled = (name, el) => h("div", { class: "field" }, h("label", { for: el.id }, t("why." + name)), el);
  const submit = (event) => {
    event.preventDefault();
    // In the address: it can be asked again.
    const values = { from: from.value.trim(), to: target.value.trim(), port: port.value, proto: proto.value };
    history.replaceState(null, "", `#/why?${new URLSearchParams(values)}`);
    run(values);
  };
  async function run(values) {
    fill(result, h("p", { class: "muted" }, t("wait")));
    const answer = await ask(values.from, values.to, values.port, values.proto);
    if (answer.error) {
      fill(result, failure(answer.error));
      return;
    }
    const { said, el } = verdict(answer);
    announce(said);
    fill(result, el);
  }
  function names() {
    const all = ["host", "outside", ...(state.overview?.containers ?? []).map((row) => row.name)];
    fill(ends, all.map((name) => h("option", { value: name })));
  }
  fill(root, h("h1", {}, t("why.title")), h("p", { class: "muted" }, t("why.about")),
    h("form", { class: "ask", onsubmit: submit }, labelled("from", from), labelled("to", target), labelled("port", port), labelled("proto", proto), h("button", { class: "primary" }, t("why.ask")), ends), result);
  names();
  const silent = listen(names);
  if (from.value && target.value) run({ from: from.value, to: target.value, port: port.value, proto: proto.value });
  else from.focus();
  return { end: silent };
}
