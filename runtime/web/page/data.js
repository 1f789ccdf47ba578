// What the program says, and how it is asked.

const listeners = new Set();
const MOST_EVENTS = 300;
/** From one event to the next look: a start is several events. With many containers a look takes longer. */
const SETTLED = 250;

/** What is known. */
export const state = { about: null, overview: null, failure: null, live: false, events: [], loaded: false };

/** Calls `each` whenever something has changed; what ends that. `each` hears what: `overview`, `events`, `live`. */
export function listen(each) {
  listeners.add(each);
  return () => listeners.delete(each);
}

function tell(what) {
  for (const each of [...listeners]) each(what);
}

async function ask(method, path, values) {
  const query = values ? "?" + new URLSearchParams(values) : "";
  let answer;
  try {
    answer = await fetch(`api/${path}${query}`, { method });
  } catch {
    throw { kind: "gone", message: "", gone: true };
  }
  const said = await answer.json().catch(() => ({ message: answer.statusText }));
  if (!answer.ok) throw said;
  return said;
}

/** A path out of names. */
export const path = (...parts) => parts.map(encodeURIComponent).join("/");

/** Looks. */
export const get = (where, values) => ask("GET", where, values);

/** Changes. */
export const post = (where) => ask("POST", where);

let looking = false;
let again = false;

/** Looks at everything, one look at a time. */
export async function refresh() {
  if (looking) {
    again = true;
    return;
  }
  looking = true;
  do {
    again = false;
    const began = performance.now();
    try {
      state.overview = await get("overview");
      state.failure = state.overview.failures[0] ?? null;
    } catch (error) {
      state.failure = error;
    }
    state.loaded = true;
    tell("overview");
    if (again) await new Promise((done) => setTimeout(done, SETTLED + 4 * (performance.now() - began)));
  } while (again);
  looking = false;
}

let soon = 0;

function happened(event) {
  const known = (one) => one.timeNano === event.timeNano && one.Action === event.Action && one.Actor.ID === event.Actor.ID;
  // At its start the program tells what has happened before, too.
  if (state.events.some(known)) return;
  state.events.push(event);
  if (state.events.length > MOST_EVENTS) state.events.shift();
  tell("events");
  clearTimeout(soon);
  soon = setTimeout(refresh, SETTLED);
}

/** Follows what happens. */
export function follow() {
  const feed = new EventSource("api/feed");
  feed.onopen = async () => {
    state.live = true;
    tell("live");
    // What happened while nobody listened.
    state.events = await get("events").catch(() => state.events);
    tell("events");
    refresh();
  };
  feed.onmessage = (message) => happened(JSON.parse(message.data));
  feed.onerror = () => {
    if (!state.live) return;
    state.live = false;
    tell("live");
  };
  // A figure that grows without an event (an address that is used up elsewhere, a health check).
  setInterval(() => { if (!document.hidden && state.live) refresh(); }, 15000);
  return () => feed.close();
}

/** A container by its name or id. */
export function container(name) {
  return state.overview?.containers.find((one) => one.name === name || one.id === name);
}
