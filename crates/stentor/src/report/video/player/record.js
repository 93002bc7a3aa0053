// What a player told, put together: what is drawn, and what is measured.
//
// Between two events the level is a straight line, because film is either played or not. So a point at
// each event is the whole course, and nothing is sampled.

export class Record {
  /** [at_s, level_s] of the level's course. */
  points = [];
  /** { at_s, until_s } of each freeze; until_s is null while it lasts. */
  freezes = [];
  /** The same of the time that somebody held the film. */
  holds = [];
  /** What arrived, in its order. */
  chunks = [];
  /** The request that is under way: { chunk, quality, at_s, received, now_s }. */
  running = null;
  started_s = null;
  full_s = null;
  ended_s = null;

  take(event) {
    const { what, at_s, level_s, before_s } = event;
    // Bytes of a chunk do not change the level; its last byte does.
    if (!["read", "failed"].includes(what)) { this.points.push([at_s, before_s ?? level_s]); }
    if (what === "arrived") { this.points.push([at_s, level_s]); }
    switch (what) {
      case "request": this.#request(event); break;
      case "read": Object.assign(this.running, { received: event.received, now_s: at_s }); break;
      case "failed": this.running = null; break;
      case "arrived": this.running = null; this.chunks.push(event); break;
      case "started": this.started_s = at_s; break;
      case "stalled": this.freezes.push({ at_s, until_s: null }); break;
      case "resumed": this.freezes.at(-1).until_s = at_s; break;
      case "held": this.holds.push({ at_s, until_s: null }); break;
      case "released": this.holds.at(-1).until_s = at_s; break;
      case "full": this.full_s ??= at_s; break;
      case "ended": this.ended_s = at_s; break;
    }
  }

  #request({ chunk, quality, at_s }) {
    this.running = { chunk, quality, at_s, received: 0, now_s: at_s };
  }

  /** x: what arrived, by the time that requests were under way, in bit/s; null before the first. */
  get arrival_bps() {
    const busy_s = this.chunks.reduce((sum, chunk) => sum + chunk.came_s - chunk.asked_s, 0);
    return busy_s > 0 ? this.#bits(this.chunks) / busy_s : null;
  }

  /** R: what arrived, by the time that it plays, in bit/s; null before the first chunk. */
  get playout_bps() {
    const seconds = this.chunks.reduce((sum, chunk) => sum + chunk.seconds, 0);
    return seconds > 0 ? this.#bits(this.chunks) / seconds : null;
  }

  /** The bits of the first so many seconds of film, as far as they have come. */
  bits_of(seconds) {
    let [bits, left] = [0, seconds];
    for (const chunk of this.chunks) {
      const part = Math.min(1, left / chunk.seconds);
      bits += chunk.bytes * 8 * part;
      left -= chunk.seconds * part;
      if (left <= 0) { break; }
    }
    // What has not come yet is taken to be like what has.
    return left > 0 ? bits + left * (this.playout_bps ?? 0) : bits;
  }

  #bits(chunks) { return chunks.reduce((sum, chunk) => sum + chunk.bytes * 8, 0); }
}
