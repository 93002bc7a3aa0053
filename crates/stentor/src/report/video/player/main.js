// The page: its controls, and what it tells, around one player at a time.

import { Chart } from "./chart.js";
import { rows } from "./figures.js";
import { length, path, readFilm } from "./film.js";
import { Player } from "./player.js";
import { Record } from "./record.js";
import { bytes, count, milliseconds, rate, rates, seconds } from "./words.js";

/** Requests that stay on the page. */
const REQUESTS_MAX = 300;
/** The drawing follows so many times a second. */
const DRAWN_HZ = 12;

const RULE_WORDS = {
  fixed: "Every chunk in the quality that you choose.",
  throughput: "The highest quality whose chunk comes in the time that it plays, at nine tenths of the "
    + "throughput so far (the lower of two weighted means).",
  bba0: "Below 3/8 of B the lowest quality, above 9/10 the highest, and a straight line between: "
    + "throughput is not looked at (BBA-0).",
};

const by = (id) => document.getElementById(id);

function element(name, text, kind) {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) { made.className = kind; }
  return made;
}

/** Writes what is new: text that is replaced by itself would lose what a reader has selected in it. */
function write(place, text) {
  if (place.textContent !== text) { place.textContent = text; }
}

/** What the form says; a field that is wrong keeps its last value. */
class Settings {
  #fields = { start: 4, resume: 4, buffer: 25 };
  #heard;

  constructor(form, heard) {
    this.#heard = heard;
    this.#fromAddress();
    form.addEventListener("input", () => this.#changed());
    form.addEventListener("submit", (event) => event.preventDefault());
    this.#changed();
  }

  get start_s() { return this.#fields.start; }

  get resume_s() { return this.#fields.resume; }

  get buffer_s() { return this.#fields.buffer; }

  get rule() { return by("rule").value; }

  get quality() { return Number(by("quality").value); }

  /** The qualities of a film, once it is known; one may stand in the address. */
  qualities(film) {
    const wanted = this.#address().get("quality");
    film.qualities.forEach(({ name, rate_bps }, index) => {
      by("quality").append(new Option(`${name}: ${rate(rate_bps)}`, index, false, `${index}` === wanted));
    });
    this.#changed();
  }

  #address() { return new URLSearchParams(location.hash.slice(1)); }

  /** A teacher's link sets the form: #start=4&resume=1&buffer=10&rule=fixed&quality=0 */
  #fromAddress() {
    for (const [name, value] of this.#address()) {
      if (name !== "quality" && by(name)?.form) { by(name).value = value; }
    }
    // A rule that there is none of would choose nothing.
    if (by("rule").selectedIndex < 0) { by("rule").value = "throughput"; }
  }

  #changed() {
    // Less than Q never fits into B, and playing would never begin.
    const least = Math.max(...["start", "resume"].map((name) => by(name).valueAsNumber || 0));
    by("buffer").setCustomValidity(
      by("buffer").valueAsNumber < least ? "B has to hold at least Q." : "");
    for (const name of Object.keys(this.#fields)) {
      if (by(name).checkValidity()) { this.#fields[name] = by(name).valueAsNumber; }
    }
    const wrong = Object.keys(this.#fields).map(by).find((field) => !field.validity.valid);
    by("rule-words").textContent = wrong
      ? `${wrong.validationMessage} Until then, ${this.#fields[wrong.id]} s counts.`
      : RULE_WORDS[this.rule];
    by("rule-words").classList.toggle("trouble", wrong !== undefined);
    by("quality").disabled = this.rule !== "fixed";
    this.#heard();
  }
}

/** One playing of the film, from a first request to an end, and all that the page shows of it. */
class Showing {
  #film;
  #settings;
  #video;
  #chart;
  #record = new Record();
  #player;
  #trouble = null;
  /** Whether the last request failed. */
  #failing = false;
  /** When it was over. */
  #over_s = null;

  constructor(film, settings, video, chart) {
    [this.#film, this.#settings, this.#video, this.#chart] = [film, settings, video, chart];
    by("requests").replaceChildren();
    this.#player = new Player(video, film, settings, (event) => this.#heard(event));
    this.#player.run().catch((error) => { this.#trouble = error.message; });
  }

  get player() { return this.#player; }

  get over() { return ["ended", "stopped", "failed"].includes(this.#player.phase); }

  #heard(event) {
    this.#record.take(event);
    if (event.what === "arrived") { this.#log(event); }
    if (event.what === "failed") { this.#logFailure(event); }
    if (event.what === "broken") { this.#trouble = event.message; }
    if (event.what === "read") { return; }
    this.#say(event);
    by("rows").replaceChildren(...rows(this.#record, this.#settings, this.#film).map(figure));
  }

  #row(cells, kind) {
    const row = element("tr", "", kind);
    row.append(...cells);
    by("requests").prepend(row);
    while (by("requests").children.length > REQUESTS_MAX) { by("requests").lastChild.remove(); }
  }

  #log({ asked_s, came_s, url, status, bytes: size, latency_s, level_s, reads, silence_s }) {
    const took_s = came_s - asked_s;
    const cells = [
      seconds(asked_s, 2), path(url), `${status}`, bytes(size), milliseconds(latency_s),
      milliseconds(took_s), rate(size * 8 / Math.max(took_s, 1e-6)), seconds(level_s),
    ].map((text) => element("td", text));
    cells[5].title = `${count(reads, "read")}, the longest silence ${milliseconds(silence_s)}`;
    const [before, last] = this.#record.chunks.slice(-2);
    this.#row(cells, last && before.quality !== last.quality ? "switched" : "");
  }

  #logFailure({ at_s, message, again, chunk }) {
    const words = `${message}. ${again ? "Asked for again after 1 s." : `Chunk ${chunk} is given up.`}`;
    const said = element("td", words);
    said.colSpan = 7;
    this.#row([element("td", seconds(at_s, 2)), said], "trouble");
  }

  /** Says what the film does, when that changes. */
  #say({ what, at_s, by: who, message, again }) {
    const words = {
      request: this.#record.started_s === null && "Filling the buffer up to Q.",
      started: `Playing since ${seconds(at_s)} after the first request.`,
      stalled: `Frozen: the buffer ran dry at ${seconds(at_s)}. It goes on with what you set above.`,
      resumed: "Playing again.",
      held: who ? `Held by ${who}. Press Play.` : "Paused. The buffer goes on filling up to B.",
      released: "Playing.",
      arrived: this.#failing && "It came after all.",
      failed: `${message}. ${again ? "Asking again." : ""}`,
      ended: `Played to the end in ${seconds(at_s)}.`,
    }[what];
    if (words) { write(by("state"), words); }
    if (what === "failed" || what === "arrived") { this.#failing = what === "failed"; }
    if (words) { by("state").classList.toggle("trouble", this.#failing || what === "stalled"); }
  }

  draw() {
    const { now_s, level_s, held, phase } = this.#player;
    // Time goes on after the end, and nothing happens in it any more.
    if (this.over) { this.#over_s ??= now_s; }
    const until_s = this.#over_s ?? now_s;
    const rates_bps = this.#film.qualities.map(({ rate_bps }) => rate_bps);
    if (this.#record.points.length > 0) {
      const shown = { now_s: until_s, level_s, settings: this.#settings, rates_bps };
      this.#chart.draw(this.#record, shown);
    }
    const { totalVideoFrames, droppedVideoFrames } = this.#video.getVideoPlaybackQuality();
    write(by("frames"), `${count(this.#record.chunks.length, "chunk")} of `
      + `${this.#film.qualities[0].chunks.length} fetched, ${count(totalVideoFrames, "picture")} decoded, `
      + `${droppedVideoFrames} dropped (browsers count one at each end of a freeze). `
      + "The newest request stands first.");
    write(by("play"), this.over ? "Play again" : held ? "Go on" : "Pause");
    if (this.#trouble && phase === "failed") {
      write(by("state"), this.#trouble);
      by("state").classList.add("trouble");
    }
  }
}

/** A row of the figures; the heads of its columns stand with its cells where there is no room beside. */
function figure({ name, book, chunks, measured }) {
  const row = document.createElement("tr");
  const head = element("th", name);
  head.scope = "row";
  const cell = (column, text) => {
    const made = element("td", text ?? "");
    made.dataset.column = column;
    return made;
  };
  row.append(head, cell("Book", book), cell("Chunks", chunks), cell("Measured", measured));
  return row;
}

/** What the page plays, in a sentence. */
function describe(film) {
  const [lowest, highest] = [film.qualities[0].rate_bps, film.qualities.at(-1).rate_bps];
  const { chunks } = film.qualities[0];
  const qualities = film.qualities.length === 1 ? `one quality of ${rates(lowest)}`
    : `${film.qualities.length} qualities from ${rate(lowest)} to ${rate(highest)}`;
  return `${count(chunks.length, "chunk")} of ${seconds(chunks[0].seconds)}, together `
    + `${seconds(length(film))}, in ${qualities}. `
    + (film.exact ? "Sizes are known before the request (film.json)."
      : "Sizes are known when a chunk has come.");
}

async function open() {
  const { playlist, sizes } = document.body.dataset;
  // The page of a folder plays what its address names: /player/?playlist=/a/master.m3u8
  const named = new URLSearchParams(location.search).get("playlist");
  if (!playlist && !named) { throw new Error("the address names no ?playlist="); }
  const film = await readFilm(playlist || named, sizes);
  by("film").textContent = describe(film);
  const [video, chart] = [document.querySelector("video"), new Chart(by("chart"))];
  let showing = null;
  const settings = new Settings(by("settings"), () => showing?.player.reconsider());
  settings.qualities(film);
  const begin = () => {
    showing?.player.stop();
    showing = new Showing(film, settings, video, chart);
    by("again").disabled = false;
  };
  by("again").addEventListener("click", begin);
  by("play").addEventListener("click", () => {
    if (!showing || showing.over) { begin(); }
    else if (showing.player.held) { showing.player.release(); }
    else { showing.player.hold(); }
  });
  by("play").disabled = false;
  let drawn_ms = 0;
  const frame = (now_ms) => {
    requestAnimationFrame(frame);
    if (showing && now_ms - drawn_ms >= 1000 / DRAWN_HZ) {
      drawn_ms = now_ms;
      showing.draw();
    }
  };
  requestAnimationFrame(frame);
}

open().catch((error) => {
  by("film").textContent = `There is no film to play: ${error.message}`;
  by("film").className = "trouble";
});
