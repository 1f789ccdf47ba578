// The page: its bar, its views, its language.

import { fill, h } from "./dom.js";
import { follow, get, listen, refresh, state } from "./data.js";
import { lang, preferred, speak, t } from "./format.js";
import { container } from "./container.js";
import { containers, events, hosts, networks, ports } from "./lists.js";
import { map } from "./map.js";
import { network } from "./network.js";
import { why } from "./why.js";

const VIEWS = { map, containers, networks, ports, hosts, events, why };
const ONE = { containers: container, networks: network };
/** From a letter to what is searched for. */
const TYPED = 150;

const [bar, main, notice] = ["bar", "main", "notice"].map((id) => document.getElementById(id));
let [view, query, where] = [null, "", null];
const filter = () => query;

function links() {
  return Object.keys(VIEWS).map((name) => h("a", { href: `#/${name}`, "data-view": name }, t("nav." + name)));
}

let typed = 0;
const search = h("input", { type: "search", id: "search", autocomplete: "off", spellcheck: "false", oninput: () => {
  clearTimeout(typed);
  typed = setTimeout(() => { query = search.value.trim().toLowerCase(); view?.filtered?.(); }, TYPED);
} });
const live = h("span", { class: "live" });

function build() {
  const other = lang() === "en" ? "ko" : "en";
  const words = other === "ko" ? "한국어" : "English";
  search.setAttribute("aria-label", t("search"));
  search.placeholder = t("search");
  document.getElementById("skip").textContent = t("skip");
  const language = h("button", { type: "button", class: "quiet", id: "language", lang: other, onclick: async () => { await speak(other, true); build(); show(true); } }, words);
  fill(bar, h("a", { class: "brand", href: "#/map" }, h("img", { src: "icon.svg", alt: "", width: 22, height: 22 }), "rcr"),
    h("nav", { "aria-label": t("views") }, links()), search, live, language);
  told();
}

function told() {
  live.className = state.live ? "live on" : "live";
  live.textContent = state.live ? (state.about?.changes ? t("live.changes") : t("live")) : t("live.not");
  fill(notice, state.live || !state.loaded ? null : h("div", { class: "notice" }, t("gone")));
}

/** Shows what the address names. `anew`: even if it is shown already. */
function show(anew = false) {
  const [address, values] = location.hash.replace(/^#\//, "").split("?");
  const [name, one] = address.split("/").map((part) => { try { return decodeURIComponent(part); } catch { return ""; } });
  const now = Object.hasOwn(VIEWS, name) ? name : "map";
  const place = JSON.stringify([now, one ?? null]);
  if (place === where && !anew) return;
  const moved = where !== null && !anew;
  where = place;
  view?.end?.();
  fill(main);
  main.className = `view-${one ? "one" : now}`;
  const root = h("div", { class: "view" });
  main.append(root);
  view = one && ONE[now] ? ONE[now](root, null, filter, one) : VIEWS[now](root, new URLSearchParams(values), filter);
  for (const link of bar.querySelectorAll("[data-view]")) {
    if (link.dataset.view === now) {
      link.setAttribute("aria-current", "page");
      // On a narrow screen the views are a row that is longer than the screen.
      link.parentElement.scrollLeft = link.offsetLeft - link.parentElement.offsetLeft - 40;
    }
    else link.removeAttribute("aria-current");
  }
  document.title = `${one ?? t("nav." + now)} – rcr${state.about ? ` @ ${state.about.host}` : ""}`;
  if (moved && now !== "why") main.focus({ preventScroll: true });
  if (moved) scrollTo(0, 0);
}

document.addEventListener("keydown", (event) => {
  const writes = event.target.matches("input, select, textarea");
  if (event.key === "/" && !writes && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && event.target === search) {
    search.value = "";
    query = "";
    view?.filtered?.();
  }
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => show());

await speak(preferred());
state.about = await get("about").catch(() => null);
build();
listen((what) => { if (what !== "events") told(); });
await refresh();
show();
follow();
document.body.dataset.ready = "yes";
