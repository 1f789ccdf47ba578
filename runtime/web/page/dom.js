// Elements out of values. A text becomes a text node, whatever is in it: nothing here makes markup out of data.

const SVG = "http://www.w3.org/2000/svg";
const FIELDS = new Set(["value", "checked", "disabled", "hidden", "open", "selected", "indeterminate"]);

function put(el, props) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value == null || value === false) continue;
    if (name === "class") el.setAttribute("class", value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) el.style.setProperty(key, text);
    else if (typeof value === "function") el.addEventListener(name.slice(2), value);
    else if (FIELDS.has(name)) el[name] = value;
    else el.setAttribute(name, value === true ? "" : String(value));
  }
}

function add(el, children) {
  for (const child of children.flat(Infinity)) {
    if (child == null || child === false || child === "") continue;
    el.append(child instanceof Node ? child : String(child));
  }
  return el;
}

/** An element of HTML with attributes, listeners (`onclick`) and children. */
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  put(el, props);
  return add(el, children);
}

/** An element of SVG. */
export function s(tag, props, ...children) {
  const el = document.createElementNS(SVG, tag);
  put(el, props);
  return add(el, children);
}

/** Puts children in place of those that an element has. */
export function fill(el, ...children) {
  el.replaceChildren();
  return add(el, children);
}

/** Brings the children of `parent` to `items`. What has not changed stays as it is, with its focus and its scroll. */
export function sync(parent, items, key, make) {
  const old = new Map();
  for (const el of [...parent.children]) {
    if (old.has(el.dataset.key)) el.remove();
    else old.set(el.dataset.key, el);
  }
  let at = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    const sign = JSON.stringify(item);
    let el = old.get(name);
    old.delete(name);
    if (!el || el.sign !== sign) {
      const made = make(item);
      made.dataset.key = name;
      made.sign = sign;
      if (el) {
        const focused = el.contains(document.activeElement);
        if (at === el) at = made;
        el.replaceWith(made);
        if (focused) (made.matches("a, button") ? made : made.querySelector("a, button"))?.focus();
      }
      el = made;
    }
    if (el === at) at = at.nextElementSibling;
    else parent.insertBefore(el, at);
  }
  for (const el of old.values()) el.remove();
}

/** Says something to a screen reader. */
export function announce(text) {
  const el = document.getElementById("said");
  el.textContent = "";
  setTimeout(() => { el.textContent = text; }, 30);
}

/** An address of the page's own views. */
export function to(...parts) {
  return "#/" + parts.map(encodeURIComponent).join("/");
}

/** A text of the program: what it has in backticks is a word of a machine. */
export const ticks = (text) => String(text).split("`").map((part, at) => (at % 2 ? h("code", {}, part) : part));

/** A failure as the program tells it: what, why, and the way out. */
export function failure(error) {
  return h("div", { class: "failure" },
    h("strong", {}, ticks(error.message)),
    (error.causes ?? []).map((cause) => h("div", {}, ticks(cause))),
    error.hint ? h("div", { class: "hint" }, ticks(error.hint)) : null,
    (error.left_behind ?? []).map((left) => h("div", {}, ticks(left))));
}

/** A heading with what belongs to it. */
export function card(title, ...children) {
  return h("section", { class: "card" }, h("h2", {}, title), children);
}

/** Names and values beside each other; a pair without a value is left out. */
export function facts(...pairs) {
  const there = pairs.filter(([, value]) => value != null && value !== "" && !(Array.isArray(value) && !value.length));
  return h("dl", { class: "facts" }, there.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}
