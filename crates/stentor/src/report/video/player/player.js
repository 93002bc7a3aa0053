// The player: fetches chunks by a rule, hands them to a <video>, and keeps Q, B and the threshold after a
// freeze, which a browser does not.
//
// A browser by itself plays with whatever it has. So the video is paused until the buffer holds Q, and
// paused again when it runs dry, until the buffer holds the threshold. What is told is what the video
// did: playing begins with its event `playing` and freezes with its event `waiting`.

import { DownloadError, download } from "./download.js";
import { Estimator, rules } from "./rules.js";

/** A request is given up when nothing has come for so long. */
const PATIENCE_S = 10;
/** A chunk is asked for so many times, and so long after a failure. */
const TRIES = 5;
const AGAIN_S = 1;
/** How much of what has been played stays in the browser's buffer. */
const KEPT_S = 10;
/** A browser stops somewhere within the last picture: less than this is no lack of film. */
const PICTURE_S = 0.05;
/** How long before a buffer with room is looked at again: timers are not exact. */
const SOON_S = 0.005;

/** Waits for one of several events. */
function event(target, ...names) {
  return new Promise((done) => {
    const heard = (event) => {
      for (const name of names) { target.removeEventListener(name, heard); }
      done(event.type);
    };
    for (const name of names) { target.addEventListener(name, heard); }
  });
}

export class Player {
  #video;
  #film;
  #settings;
  #tell;
  #control = new AbortController();
  #estimator = new Estimator();
  #rules = rules();
  /** starting, playing, frozen, ended or stopped. */
  #phase = "starting";
  /** Whether the person or the browser holds the film. */
  #held = false;
  #complete = false;
  /** Whether the next chunk waits for room. */
  #full = false;
  #wake = () => {};
  #media = null;
  #source = null;
  /** The quality whose initialization the decoder has. */
  #decoding = null;
  #last = null;
  #begin_ms = null;

  /**
   * `settings` is read anew whenever it is needed: { start_s, resume_s, buffer_s, rule, quality }.
   * `tell` hears { what, at_s, level_s, ... } of everything that happens, in its order.
   */
  constructor(video, film, settings, tell) {
    this.#video = video;
    this.#film = film;
    this.#settings = settings;
    this.#tell = tell;
    this.#listen();
  }

  /** Seconds since the first request. */
  get now_s() { return this.#begin_ms === null ? 0 : this.#since(performance.now()); }

  get phase() { return this.#phase; }

  get held() { return this.#held; }

  /** How much film is buffered and not yet shown, in seconds. */
  get level_s() {
    const { buffered, currentTime } = this.#video;
    // Before the first picture of a film that does not begin at 0, time stands before the buffer.
    const at = Math.max(currentTime, buffered.length > 0 ? buffered.start(0) : 0);
    for (let range = 0; range < buffered.length; range += 1) {
      if (buffered.start(range) <= at + PICTURE_S && at <= buffered.end(range)) {
        return buffered.end(range) - at;
      }
    }
    return 0;
  }

  /** Plays the film to its end. Throws what ends it before, unless that is `stop`. */
  async run() {
    try {
      await this.#open();
      this.#begin_ms = performance.now();
      const chunks = this.#film.qualities[0].chunks.length;
      for (let chunk = 0; chunk < chunks; chunk += 1) { await this.#next(chunk); }
      this.#complete = true;
      this.#media.endOfStream();
      this.#begin();
      if (this.#phase !== "ended") { await this.#until(() => this.#phase === "ended"); }
    } catch (error) {
      if (!this.#control.signal.aborted) { this.#leave("failed"); throw error; }
    }
  }

  /** Holds the picture; fetching goes on until the buffer is full. */
  hold() {
    if (this.#held) { return; }
    this.#held = true;
    this.#video.pause();
    this.#say("held");
  }

  /** Lets it go on, if it was playing. */
  release() {
    if (!this.#held) { return; }
    this.#held = false;
    this.#say("released");
    if (this.#phase === "playing") { this.#go(); } else { this.#begin(); }
  }

  /** Looks at the settings anew. */
  reconsider() {
    this.#begin();
    this.#wake();
  }

  /** Ends it, whatever it does. */
  stop() {
    this.#control.abort(new DOMException("the player was stopped", "AbortError"));
    this.#leave("stopped");
  }

  #leave(phase) {
    this.#phase = phase;
    this.#wake();
    this.#video.pause();
  }

  #since(ms) { return (ms - this.#begin_ms) / 1000; }

  #say(what, more = {}) {
    this.#tell({ what, at_s: this.now_s, level_s: this.level_s, ...more });
  }

  /** Puts a source of media into the video. */
  async #open() {
    const [{ mime }] = this.#film.qualities;
    if (!("MediaSource" in window)) { throw new Error("this browser has no Media Source Extensions"); }
    if (!MediaSource.isTypeSupported(mime)) { throw new Error(`this browser cannot play ${mime}`); }
    this.#media = new MediaSource();
    const url = URL.createObjectURL(this.#media);
    this.#video.src = url;
    await event(this.#media, "sourceopen");
    URL.revokeObjectURL(url);
    this.#source = this.#media.addSourceBuffer(mime);
  }

  #listen() {
    const { signal } = this.#control;
    const on = (name, act) => this.#video.addEventListener(name, act, { signal });
    on("playing", () => this.#playing());
    on("waiting", () => this.#waiting());
    on("ended", () => { this.#phase = "ended"; this.#say("ended"); this.#wake(); });
    on("pause", () => this.#paused());
    on("play", () => this.#wake());
    on("error", () => this.#broken());
  }

  #playing() {
    const what = { starting: "started", frozen: "resumed" }[this.#phase];
    if (what) {
      this.#phase = "playing";
      this.#say(what);
    } else if (this.#held) {
      this.#held = false;
      this.#say("released");
    }
    this.#wake();
  }

  #waiting() {
    // It waits before its first picture too, and at the very end, which are no freezes.
    if (this.#phase !== "playing" || this.#complete) { return; }
    this.#phase = "frozen";
    this.#say("stalled");
    this.#video.pause();
    this.#wake();
  }

  /** The browser pauses a silent film that nobody sees. */
  #paused() {
    const { paused, ended } = this.#video;
    // The event comes late: the film may go on again, or be over.
    if (this.#phase !== "playing" || this.#held || !paused || ended) { return; }
    this.#held = true;
    this.#say("held", { by: "the browser" });
  }

  #broken() {
    const { code, message } = this.#video.error;
    this.#control.abort(new Error(`the browser cannot play this film (${code}: ${message})`));
    this.#say("broken", { message: this.#control.signal.reason.message });
    this.#leave("failed");
  }

  /** Begins or goes on to play, if there is enough, or no more can come. */
  #begin() {
    const { start_s, resume_s } = this.#settings;
    const threshold_s = { starting: start_s, frozen: resume_s }[this.#phase];
    if (threshold_s === undefined || this.#held) { return; }
    const enough = this.level_s >= threshold_s - PICTURE_S || this.#complete || this.#full;
    if (enough && this.level_s > 0) { this.#go(); }
  }

  #go() {
    this.#video.play().catch((error) => {
      // A pause in the meantime is an answer too.
      if (error.name === "AbortError" || this.#held) { return; }
      this.#held = true;
      this.#say("held", { by: `the browser (${error.message})` });
    });
  }

  /** Waits for something to happen, for at most so many seconds. */
  async #pause(seconds) {
    this.#control.signal.throwIfAborted();
    await new Promise((wake) => {
      const timer = seconds === undefined ? undefined : setTimeout(wake, seconds * 1000);
      this.#wake = () => { clearTimeout(timer); wake(); };
    });
    this.#control.signal.throwIfAborted();
  }

  async #until(holds) {
    while (!holds()) { await this.#pause(); }
  }

  async #next(chunk) {
    const { seconds } = this.#film.qualities[0].chunks[chunk];
    await this.#room(seconds);
    for (let tries = 1; ; tries += 1) {
      const quality = this.#choose(seconds);
      try {
        await this.#fetch(chunk, quality);
        return;
      } catch (error) {
        if (!(error instanceof DownloadError)) { throw error; }
        const again = tries < TRIES;
        this.#say("failed", { chunk, quality, message: error.message, status: error.status, again });
        if (!again) { throw new Error(`${error.message}. Given up after ${TRIES} tries.`); }
        const before_s = this.now_s;
        while (this.now_s < before_s + AGAIN_S) { await this.#pause(before_s + AGAIN_S - this.now_s); }
      }
    }
  }

  /** Waits until a chunk fits into B; what is larger fits an empty buffer. */
  async #room(seconds) {
    const excess_s = () =>
      Math.min(this.level_s, this.level_s + seconds - this.#settings.buffer_s);
    if (excess_s() <= SOON_S) { return; }
    this.#full = true;
    this.#say("full");
    this.#begin();
    while (excess_s() > SOON_S) {
      await this.#pause(this.#phase === "playing" && !this.#held ? excess_s() : undefined);
    }
    this.#full = false;
    this.#say("room");
  }

  #choose(chunk_s) {
    const { rule, quality, buffer_s } = this.#settings;
    return this.#rules[rule]({
      rates_bps: this.#film.qualities.map((quality) => quality.rate_bps),
      chunk_s,
      level_s: this.level_s,
      capacity_s: buffer_s,
      last: this.#last,
      estimate: this.#estimator.value,
      wanted: quality,
    });
  }

  async #fetch(chunk, quality) {
    const { initialization, mime, chunks } = this.#film.qualities[quality];
    await this.#initialize(initialization, mime);
    const { url, range, seconds } = chunks[chunk];
    this.#say("request", { chunk, quality, url });
    const onRead = (received) => this.#say("read", { chunk, received });
    const report = await this.#download({ url, range }, onRead);
    const before_s = this.level_s;
    await this.#append(report.body);
    this.#last = quality;
    const latency_s = (report.first_ms - report.begin_ms) / 1000;
    const body_s = (report.end_ms - report.first_ms) / 1000;
    const bytes = report.received;
    this.#estimator.feed({ bytes, latency_s, body_s, chunk_s: seconds });
    this.#say("arrived", {
      chunk, quality, url, bytes, seconds, before_s, latency_s,
      status: report.status,
      reads: report.reads,
      silence_s: report.longest_ms / 1000,
      asked_s: this.#since(report.begin_ms),
      came_s: this.#since(report.end_ms),
    });
    this.#begin();
  }

  #download(resource, onRead) {
    const { signal } = this.#control;
    return download(resource, { patience_s: PATIENCE_S, signal, onRead });
  }

  /** Tells the decoder of another initialization; qualities often share one. */
  async #initialize(initialization, mime) {
    const { url, range } = initialization ?? { url: null, range: null };
    const now = JSON.stringify([url, range, mime]);
    if (url === null || now === this.#decoding) { return; }
    const { body } = await this.#download(initialization);
    if (this.#decoding !== null) { this.#source.changeType(mime); }
    await this.#append(body);
    this.#decoding = now;
  }

  async #append(bytes) {
    await this.#forget();
    this.#source.appendBuffer(bytes);
    const ended = await event(this.#source, "updateend", "error");
    this.#control.signal.throwIfAborted();
    if (ended === "error") { throw new Error("the browser does not understand a chunk"); }
    const { buffered, currentTime } = this.#video;
    const begins = buffered.length > 0 && buffered.start(0) > currentTime;
    // A film of another program may begin later than at 0.
    if (begins) { this.#video.currentTime = buffered.start(0); }
  }

  /** Drops what has been played, so that a long film fits. */
  async #forget() {
    const until_s = this.#video.currentTime - KEPT_S;
    const { buffered } = this.#source;
    if (buffered.length === 0 || buffered.start(0) > until_s - KEPT_S) { return; }
    this.#source.remove(0, until_s);
    await event(this.#source, "updateend");
    this.#control.signal.throwIfAborted();
  }
}
