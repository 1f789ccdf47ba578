// Lines over the map: which places are one container's, and the way that a packet takes. The browser has laid out the
// places; a way follows what is drawn between them: a chip hangs on its network's line, a network on the line outside.

import { s } from "./dom.js";

/** An element's box in the coordinates of the map. */
function box(world, el) {
  const [all, one] = [world.getBoundingClientRect(), el.getBoundingClientRect()];
  const [left, top] = [one.left - all.left, one.top - all.top];
  return { left, top, right: left + one.width, bottom: top + one.height, x: left + one.width / 2, y: top + one.height / 2 };
}

/** Fits the sheet of lines to the map. */
function fit(world, sheet) {
  sheet.setAttribute("width", world.scrollWidth);
  sheet.setAttribute("height", world.scrollHeight);
  sheet.replaceChildren();
}

const drawn = (points) => points.map(([x, y], at) => `${at ? "L" : "M"}${x} ${y}`).join("");

/** Joins the places of a container that is on several networks, beside them. */
export function join(world, sheet, places) {
  fit(world, sheet);
  const boxes = places.map((el) => box(world, el));
  boxes.slice(1).forEach((b, at) => {
    const a = boxes[at];
    const x = Math.min(a.left, b.left) - 6;
    sheet.append(s("path", { d: drawn([[a.left, a.y], [x, a.y], [x, b.y], [b.left, b.y]]), class: "same" }));
  });
}

/** From a place to the line outside: pieces, between which the way goes through a network's box. */
function climb(world, el) {
  const em = parseFloat(getComputedStyle(world).fontSize);
  const tops = box(world, world.querySelector(".tops"));
  const spine = box(world, world.querySelector("[data-node=outside]")).left + 1.1 * em + 1;
  const here = box(world, el);
  if (el.classList.contains("end")) {
    if (el.dataset.node === "outside") return { pieces: [[[spine, here.bottom]]] };
    const gap = tops.bottom + 0.6 * em;
    return { pieces: [[[here.x, here.bottom], [here.x, gap], [spine, gap]]] };
  }
  const lane = el.closest(".lane");
  const network = box(world, lane.querySelector(".network"));
  const stub = network.top + 1.25 * em;
  const out = [[network.left, stub], [spine, stub]];
  if (el.classList.contains("network")) return { pieces: [out], lane };
  const list = box(world, lane.querySelector(".bus > .chips"));
  const row = box(world, el.closest("li")).top + 1;
  const hang = here.left + 1.1 * em;
  const up = [[hang, here.top], [hang, row], [list.left, row]];
  if (row > list.top + 2) up.push([list.left, list.top + 1]);
  if (network.right <= list.left + 1) up.push([network.right, list.top + 1]);
  return { pieces: [up, out], lane };
}

/** The pieces of the way between two places. */
function route(world, from, to) {
  if (from.classList.contains("end") && to.classList.contains("end")) {
    const [a, b] = [box(world, from), box(world, to)];
    return [a.left < b.left ? [[a.right, a.y], [b.left, a.y]] : [[a.left, a.y], [b.right, a.y]]];
  }
  const [a, b] = [climb(world, from), climb(world, to)];
  const back = (pieces) => pieces.map((piece) => [...piece].reverse()).reverse();
  if (!a.lane || a.lane !== b.lane) {
    const [first, second] = [a.pieces, back(b.pieces)];
    return [...first.slice(0, -1), [...first.at(-1), ...second[0]], ...second.slice(1)];
  }
  if (a.pieces.length === 1) return back(b.pieces.slice(0, 1));
  if (b.pieces.length === 1) return a.pieces.slice(0, 1);
  const [up, down] = [a.pieces[0], back(b.pieces.slice(0, 1))[0]];
  // On one line of the network the way stays on it.
  const same = up[1][1] === down.at(-2)[1];
  return [same ? [up[0], up[1], down.at(-2), down.at(-1)] : [...up, ...down]];
}

/** Draws a way over places in their order. A place: its element, the numbers of its hops, whether it ends there. */
export function way(world, sheet, places) {
  fit(world, sheet);
  const end = places.findIndex((place) => place.broken);
  let delay = 0;
  places.slice(1).forEach((place, at) => {
    const beyond = end >= 0 && at >= end;
    for (const piece of route(world, places[at].el, place.el)) {
      sheet.append(s("path", { d: drawn(piece), class: "under" }));
      const line = s("path", { d: drawn(piece), class: beyond ? "way beyond" : "way", pathLength: beyond ? null : 1 });
      line.style.setProperty("animation-delay", `${delay}s`);
      delay += 0.25;
      sheet.append(line);
    }
  });
  for (const place of places) {
    if (!place.text && !place.broken) continue;
    const here = box(world, place.el);
    const wide = place.broken ? 11 : Math.max(11, 5 + place.text.length * 4);
    // At the corner, so that the name stays readable.
    const mark = s("g", { class: place.broken ? "mark broken" : "mark", transform: `translate(${here.right - 4} ${Math.max(11, here.top)})` },
      s("rect", { x: -wide, y: -11, width: wide * 2, height: 22, rx: 11 }), s("text", { "text-anchor": "middle", dy: "0.36em" }, place.broken ? "✕" : place.text));
    sheet.append(mark);
  }
}

/** No lines. */
export const clear = (world, sheet) => fit(world, sheet);
