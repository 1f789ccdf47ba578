// Lines over the map: which places belong together, and the way that a packet takes. Where the places are, the browser
// has laid out; a line goes from one to the next.

import { s } from "./dom.js";

/** The middle of an element, in the coordinates of the map. */
function middle(world, el) {
  const [all, one] = [world.getBoundingClientRect(), el.getBoundingClientRect()];
  return { x: one.left - all.left + one.width / 2, y: one.top - all.top + one.height / 2, w: one.width, h: one.height };
}

/** A soft curve between two points. */
function curve(a, b) {
  const flat = Math.abs(b.x - a.x) >= Math.abs(b.y - a.y);
  const [mx, my] = [(a.x + b.x) / 2, (a.y + b.y) / 2];
  return flat ? `M${a.x} ${a.y}C${mx} ${a.y} ${mx} ${b.y} ${b.x} ${b.y}` : `M${a.x} ${a.y}C${a.x} ${my} ${b.x} ${my} ${b.x} ${b.y}`;
}

/** Fits the sheet of lines to the map. */
function fit(world, sheet) {
  sheet.setAttribute("width", world.scrollWidth);
  sheet.setAttribute("height", world.scrollHeight);
  sheet.replaceChildren();
}

/** Joins the places of a container that is on several networks. */
export function join(world, sheet, places) {
  fit(world, sheet);
  const points = places.map((el) => middle(world, el));
  points.slice(1).forEach((point, at) => sheet.append(s("path", { d: curve(points[at], point), class: "same" })));
}

/** Draws a way over places, in their order; `broken`: it ends at the last one. */
export function way(world, sheet, places, broken) {
  fit(world, sheet);
  const points = places.map((el) => middle(world, el));
  points.slice(1).forEach((point, at) => {
    const last = at === points.length - 2;
    const line = s("path", { d: curve(points[at], point), class: broken && last ? "way broken" : "way", pathLength: 1 });
    line.style.setProperty("animation-delay", `${at * 0.35}s`);
    sheet.append(line);
  });
  points.forEach((point, at) => {
    const end = broken && at === points.length - 1;
    // Beside the place, so that its name stays readable.
    const [x, y] = [point.x - point.w / 2, point.y - point.h / 2];
    const mark = s("g", { class: end ? "mark broken" : "mark", transform: `translate(${Math.max(10, x)} ${Math.max(10, y)})` },
      s("circle", { r: 10 }), s("text", { "text-anchor": "middle", dy: "0.36em" }, end ? "✕" : String(at + 1)));
    mark.style.setProperty("animation-delay", `${Math.max(0, at - 0.5) * 0.35}s`);
    sheet.append(mark);
  });
}

/** No lines. */
export const clear = (world, sheet) => fit(world, sheet);
