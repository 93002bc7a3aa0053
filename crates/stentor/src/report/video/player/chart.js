// Three drawings over one time: the buffer's level, the rates, and the quality.
//
// They are SVG: a reader may enlarge them, and they are light or dark with the page. Each is a few paths,
// drawn anew some times a second.

import { axis, seconds } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
/** Room for the numbers on the left, and for the names of lines on the right. */
const LEFT = 44;
const RIGHT = 66;
/** The strips from the top: where each begins, and how high it is. */
const LEVEL = { top: 18, height: 150 };
const RATES = { top: 204, height: 110 };
const QUALITY = { top: 350, height: 66 };
const HEIGHT = 444;
/** Ends of the time axis, in seconds; then whole hours. */
const SPANS = [15, 30, 60, 120, 180, 300, 450, 600, 900, 1200, 1800, 2700];
/** A chunk that comes faster than so many times the highest rate ends at the strip's upper edge. */
const FAST = 2;

function span(now) {
  return SPANS.find((span) => now <= span * 0.96) ?? Math.ceil((now + 1) / 3600) * 3600;
}

/** A round step of an axis, so that it has at most `most` of them. */
function step(end, most) {
  const power = 10 ** Math.floor(Math.log10(end / most));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => end / step <= most);
}

function steps(end, most) {
  const width = step(end, most);
  return Array.from({ length: Math.floor(end / width + 1e-9) + 1 }, (_, at) => at * width);
}

/** Steps of the time axis, in seconds. */
const TICKS = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];

function ticks(end, most) {
  const width = TICKS.find((tick) => end / tick <= most) ?? Math.ceil(end / most / 3600) * 3600;
  return Array.from({ length: Math.floor(end / width) + 1 }, (_, at) => at * width);
}

/** "1:30" from a minute on. */
function clock(at_s) {
  if (at_s < 60) { return `${at_s} s`; }
  return `${Math.floor(at_s / 60)}:${String(Math.round(at_s % 60)).padStart(2, "0")}`;
}

export class Chart {
  #svg = document.createElementNS(SVG, "svg");
  #shades = this.#group("shades");
  #grid = this.#group("grid");
  #paths = {};
  #marks = this.#group("marks");
  #drawn = "";
  #width = 640;

  constructor(place) {
    this.#svg.setAttribute("role", "img");
    this.#svg.append(this.#shades, this.#grid);
    for (const name of ["arrival", "coming", "playout", "area", "level", "quality"]) {
      this.#paths[name] = this.#add(this.#svg, "path", { class: name });
    }
    this.#svg.append(this.#marks);
    place.replaceChildren(this.#svg);
    new ResizeObserver(([{ contentRect }]) => this.#resize(contentRect.width)).observe(place);
  }

  #resize(width) {
    this.#width = Math.max(280, Math.floor(width));
    this.#drawn = "";
  }

  #group(name) {
    const group = document.createElementNS(SVG, "g");
    group.setAttribute("class", name);
    return group;
  }

  #add(to, name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) { made.setAttribute(key, value); }
    if (text !== undefined) { made.textContent = text; }
    to.append(made);
    return made;
  }

  /** Draws a record up to now; `settings` are those of the player. */
  draw(record, { now_s, level_s, settings, rates_bps }) {
    const end = span(now_s);
    const highest = Math.max(settings.buffer_s, ...record.points.map(([, level]) => level)) * 1.1;
    const fastest = Math.max(0, ...record.chunks.map(speed), ...record.chunks.map(playout));
    const cut = fastest > FAST * rates_bps.at(-1);
    const ceiling = Math.min(fastest, FAST * rates_bps.at(-1)) * 1.1 || rates_bps.at(-1) * 1.2;
    const scale = {
      x: (at_s) => LEFT + (this.#width - LEFT - RIGHT) * Math.min(at_s / end, 1),
      level: upwards(LEVEL, highest),
      rate: upwards(RATES, ceiling),
      quality: upwards(QUALITY, Math.max(1, rates_bps.length - 1)),
    };
    this.#axes(scale, { end, highest, ceiling, cut, settings, rates_bps });
    this.#shade(record, now_s, scale);
    this.#rates(record, scale, ceiling);
    const points = [...record.points, [now_s, level_s]];
    const course = line(points.map(([at_s, level]) => [scale.x(at_s), scale.level(level)]));
    this.#paths.level.setAttribute("d", course);
    const base = scale.level(0);
    const [from, to] = [scale.x(points[0][0]), scale.x(now_s)];
    this.#paths.area.setAttribute("d", `${course}L${to},${base}L${from},${base}Z`);
    this.#quality(record.chunks, scale);
    this.#svg.setAttribute("aria-label", told(record, now_s, level_s));
  }

  /** Scales, grid and the lines of Q and B; only when they have changed. */
  #axes(scale, { end, highest, ceiling, cut, settings, rates_bps }) {
    const { start_s, resume_s, buffer_s } = settings;
    const now = JSON.stringify([this.#width, end, highest, ceiling, cut, start_s, resume_s, buffer_s]);
    if (now === this.#drawn) { return; }
    this.#drawn = now;
    this.#svg.setAttribute("viewBox", `0 0 ${this.#width} ${HEIGHT}`);
    this.#svg.setAttribute("width", this.#width);
    this.#svg.setAttribute("height", HEIGHT);
    this.#grid.replaceChildren();
    this.#marks.replaceChildren();
    this.#title(LEVEL, "buffer level, seconds of film");
    this.#title(RATES, cut ? "rates, bit/s; faster chunks are cut off" : "rates, bit/s");
    this.#title(QUALITY, "quality");
    for (const level of steps(highest, 5)) { this.#rung(scale.level(level), level); }
    for (const bps of steps(ceiling, 5)) { this.#rung(scale.rate(bps), bps === 0 ? "0" : axis(bps)); }
    const every = Math.ceil(rates_bps.length / 6);
    rates_bps.forEach((bps, quality) => {
      if (quality % every === 0) { this.#rung(scale.quality(quality), quality); }
    });
    for (const at_s of ticks(end, this.#width > 500 ? 8 : 4)) {
      const place = { x: scale.x(at_s), y: HEIGHT - 8, "text-anchor": "middle" };
      this.#add(this.#grid, "text", place, clock(at_s));
    }
    this.#threshold("B", buffer_s, scale);
    this.#threshold(start_s === resume_s ? "Q" : "Q first", start_s, scale);
    if (start_s !== resume_s) { this.#threshold("Q again", resume_s, scale); }
  }

  #title({ top }, words) {
    this.#add(this.#grid, "text", { x: LEFT, y: top - 8, class: "title" }, words);
  }

  #rung(y, words) {
    this.#add(this.#grid, "path", { d: `M${LEFT},${y}H${this.#width - RIGHT}` });
    this.#add(this.#grid, "text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, words);
  }

  #threshold(name, at, scale) {
    const y = scale.level(at);
    const kind = name[0];
    this.#add(this.#marks, "path", { d: `M${LEFT},${y}H${this.#width - RIGHT}`, class: kind });
    this.#add(this.#marks, "text", { x: this.#width - RIGHT + 4, y: y + 4, class: kind }, name);
  }

  /** What was not played, over all strips. Each shade tells its seconds. */
  #shade(record, now_s, { x }) {
    const shades = [
      { kind: "startup", at_s: 0, until_s: record.started_s },
      ...record.freezes.map((freeze) => ({ kind: "freeze", ...freeze })),
      ...record.holds.map((hold) => ({ kind: "hold", ...hold })),
    ];
    shades.forEach(({ kind, at_s, until_s }, place) => {
      const shade = this.#shades.children[place] ?? this.#add(this.#shades, "rect", {});
      const until = until_s ?? now_s;
      const width = Math.max(0.5, x(until) - x(at_s));
      const height = QUALITY.top + QUALITY.height - LEVEL.top;
      const box = { class: kind, x: x(at_s), y: LEVEL.top, width, height };
      for (const [key, value] of Object.entries(box)) { shade.setAttribute(key, value); }
      shade.dataset.at_s = at_s;
      shade.dataset.until_s = until_s ?? "";
    });
    while (this.#shades.children.length > shades.length) { this.#shades.lastChild.remove(); }
  }

  /** x as a column over the time of each request, R as a line over the same time. */
  #rates({ chunks, running }, { x, rate }, ceiling) {
    const column = (from_s, to_s, bps) => {
      const [left, right] = [x(from_s), x(to_s)];
      const top = rate(Math.min(bps, ceiling));
      return `M${left},${rate(0)}V${top}H${Math.max(right, left + 1)}V${rate(0)}Z`;
    };
    const columns = chunks.map((chunk) => column(chunk.asked_s, chunk.came_s, speed(chunk)));
    this.#paths.arrival.setAttribute("d", columns.join(""));
    const lasts_s = running ? running.now_s - running.at_s : 0;
    const coming = lasts_s > 0
      ? column(running.at_s, running.now_s, running.received * 8 / lasts_s) : "";
    this.#paths.coming.setAttribute("d", coming);
    const played = chunks.map((chunk) => [x(chunk.asked_s), rate(Math.min(playout(chunk), ceiling))]);
    this.#paths.playout.setAttribute("d", stairs(played, x(chunks.at(-1)?.came_s ?? 0)));
  }

  #quality(chunks, { x, quality }) {
    const points = chunks.map((chunk) => [x(chunk.asked_s), quality(chunk.quality)]);
    this.#paths.quality.setAttribute("d", stairs(points, x(chunks.at(-1)?.came_s ?? 0)));
  }
}

const speed = ({ bytes, asked_s, came_s }) => bytes * 8 / Math.max(came_s - asked_s, 1e-6);
const playout = ({ bytes, seconds }) => bytes * 8 / seconds;

function upwards({ top, height }, highest) {
  return (value) => top + height * (1 - Math.min(Math.max(value / highest, 0), 1));
}

function line(points) {
  return points.map(([x, y], at) => `${at === 0 ? "M" : "L"}${x.toFixed(1)},${y.toFixed(1)}`).join("");
}

function stairs(points, end) {
  if (points.length === 0) { return ""; }
  const [[x, y], ...others] = points;
  return `M${x},${y}${others.map(([x, y]) => `H${x}V${y}`).join("")}H${end}`;
}

/** The drawing in words, for those who do not see it. */
function told({ started_s, freezes, chunks }, now_s, level_s) {
  const start = started_s === null ? "not yet playing" : `first picture after ${seconds(started_s)}`;
  const frozen_s = freezes.reduce((sum, { at_s, until_s }) => sum + (until_s ?? now_s) - at_s, 0);
  return `After ${seconds(now_s)}: ${start}, ${chunks.length} chunks, ${seconds(level_s)} buffered, `
    + `${freezes.length} freezes of together ${seconds(frozen_s)}`;
}
