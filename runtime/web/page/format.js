// Words in the reader's language, and numbers as people read them.

const LANGUAGES = ["en", "ko"];
let words = {};
let language = "en";

/** The language that is shown. */
export const lang = () => language;

/** The one that the browser asks for first, of those that there are. */
export function preferred() {
  let kept = null;
  try { kept = localStorage.getItem("language"); } catch { /* it may be forbidden */ }
  const asked = [kept, ...(navigator.languages ?? [])].filter(Boolean);
  return asked.map((name) => name.slice(0, 2).toLowerCase()).find((name) => LANGUAGES.includes(name)) ?? "en";
}

/** Takes another language. */
export async function speak(name, keep) {
  const answer = await fetch(`${name}.json`);
  words = await answer.json();
  language = name;
  document.documentElement.lang = name;
  if (keep) try { localStorage.setItem("language", name); } catch { /* as above */ }
}

/** A text by its name; `{x}` in it is a value's place. */
export function t(name, values) {
  const text = words[name] ?? name;
  return text.replace(/\{(\w+)\}/g, (whole, key) => String(values?.[key] ?? whole));
}

/** Whether there is a text of this name. */
export const known = (name) => name in words;

const UNITS = ["B", "KB", "MB", "GB", "TB"];

/** Bytes. */
export function bytes(count) {
  let value = Number(count) || 0;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toLocaleString(language, { maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0 })} ${UNITS[unit]}`;
}

/** A whole number. */
export const number = (count) => Number(count ?? 0).toLocaleString(language);

/** Percent. */
export const percent = (value) => `${value.toLocaleString(language, { maximumFractionDigits: value < 10 ? 1 : 0 })} %`;

const NEVER = "0001-01-01";

/** A date from RFC 3339, or from seconds since the epoch; nothing: never. */
export function date(time) {
  if (time == null || (typeof time === "string" && time.startsWith(NEVER))) return null;
  const value = new Date(typeof time === "number" ? time * 1000 : time);
  return Number.isNaN(value.getTime()) ? null : value;
}

/** The time of day, with the date if it is another day. */
export function clock(value, seconds = true) {
  if (!value) return "–";
  const today = new Date().toDateString() === value.toDateString();
  const style = { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined, hour12: false };
  return value.toLocaleString(language, today ? style : { ...style, month: "short", day: "numeric" });
}

const SPANS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** How long ago. */
export function ago(value) {
  if (!value) return "–";
  const seconds = Math.max(0, Math.round((Date.now() - value.getTime()) / 1000));
  const [unit, size] = SPANS.find(([, size]) => seconds >= size) ?? SPANS[3];
  return new Intl.RelativeTimeFormat(language, { numeric: "always" }).format(-Math.floor(seconds / size), unit);
}

/** `1-3` of a first number and a count. */
const range = (first, count) => (count > 1 ? `${first}–${first + count - 1}` : `${first}`);

/** Where a port is published: `0.0.0.0:8080 → 80/tcp`. */
export function published(port) {
  const host = port.host_ip.includes(":") ? `[${port.host_ip}]` : port.host_ip;
  return `${host}:${range(port.host_port, port.count)} → ${range(port.container_port, port.count)}/${port.proto}`;
}

/** The same in short: `:8080 → 80`. */
export function publishedShort(port) {
  const any = port.host_ip === "0.0.0.0" || port.host_ip === "::";
  const host = any ? "" : port.host_ip;
  return `${host}:${range(port.host_port, port.count)} → ${range(port.container_port, port.count)}`;
}

const ESCAPE = /\u001b(?:\[[0-?]*[ -\/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;

/** A container's text without what steers a terminal, and without letters that turn its direction. */
export function plain(text) {
  return String(text).replace(ESCAPE, "")
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\u00b7");
}
