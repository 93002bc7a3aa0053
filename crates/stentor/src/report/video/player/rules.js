// Which quality is fetched next.
//
// A rule sees { rates_bps, chunk_s, level_s, capacity_s, last, estimate, wanted } and answers with a
// quality. `stentor video play` has the same rules under the same names, and more of them.
// "The insufficient-buffer rule", below, is of Spiteri et al., MMSys 2018, section 4.3.

/** Half-lives of the two means, in seconds of downloading; the cautious one counts. */
const HALF_LIVES_S = [3, 8];
/** How much of the estimated throughput is used. */
const USED = 0.9;
/** How much of what the buffer carries may be counted on: at first, and at least. */
const SAFETY_FIRST = 0.9;
const SAFETY_LEAST = 0.5;
/** Where the buffer-based rule leaves the lowest quality and reaches the highest, as parts of B. */
const RESERVOIR = 0.375;
const UPPER = 0.9;

/**
 * What the next download is expected to meet: exponentially weighted means, corrected for the time
 * before the first sample. A sample weighs as long as its body took, in latency as long as it plays.
 */
export class Estimator {
  #throughput = HALF_LIVES_S.map((life) => new Mean(life));
  #latency = HALF_LIVES_S.map((life) => new Mean(life));

  feed({ bytes, latency_s, body_s, chunk_s }) {
    if (body_s <= 0 || bytes <= 0) { return; }
    const bps = bytes * 8 / body_s;
    for (const mean of this.#throughput) { mean.feed(bps, body_s); }
    for (const mean of this.#latency) { mean.feed(latency_s, chunk_s); }
  }

  /** The lower throughput and the higher latency; null before the first sample. */
  get value() {
    const bps = Math.min(...this.#throughput.map((mean) => mean.corrected));
    const latency_s = Math.max(...this.#latency.map((mean) => mean.corrected));
    return Number.isFinite(bps) ? { bps, latency_s } : null;
  }
}

class Mean {
  #value = 0;
  #weight_s = 0;
  #life_s;

  constructor(life_s) { this.#life_s = life_s; }

  feed(sample, weight_s) {
    const kept = 2 ** (-weight_s / this.#life_s);
    this.#value = kept * this.#value + (1 - kept) * sample;
    this.#weight_s += weight_s;
  }

  /** NaN before the first sample. */
  get corrected() { return this.#value / (1 - 2 ** (-this.#weight_s / this.#life_s)); }
}

/** The quality that the person chose. */
function fixed({ rates_bps, wanted }) {
  return Math.min(wanted, rates_bps.length - 1);
}

/** The highest quality whose chunk comes, latency included, in the time that it plays. */
function carried({ rates_bps, chunk_s, estimate }) {
  const comes = (bps) => estimate.latency_s + chunk_s * bps / (USED * estimate.bps) <= chunk_s;
  const above = rates_bps.findIndex((bps, quality) => quality > 0 && !comes(bps));
  return above < 0 ? rates_bps.length - 1 : above - 1;
}

/**
 * The throughput rule with its insufficient-buffer rule: a chunk has to come before the buffer is empty,
 * with some safety, which falls by a tenth with each chunk.
 */
function throughput() {
  let safety = SAFETY_FIRST;
  return (view) => {
    const { rates_bps, chunk_s, level_s, estimate } = view;
    if (!estimate) { return 0; }
    const safe_bits = safety * (level_s - estimate.latency_s) * estimate.bps;
    safety = Math.max(safety * SAFETY_FIRST, SAFETY_LEAST);
    const quality = carried(view);
    const above = rates_bps.findIndex((bps, index) => index > 0 && bps * chunk_s > safe_bits);
    return above < 0 ? quality : Math.min(quality, above - 1);
  };
}

/**
 * BBA-0 (Huang et al., "A Buffer-Based Approach to Rate Adaptation", SIGCOMM 2014): the rate follows a
 * line over the level, and the quality stays until the line crosses the next one above or below.
 */
function buffer({ rates_bps, level_s, capacity_s, last }) {
  const highest = rates_bps.length - 1;
  const part = level_s / capacity_s;
  if (part <= RESERVOIR) { return 0; }
  if (part >= UPPER) { return highest; }
  const [low, high] = [rates_bps[0], rates_bps[highest]];
  const line = low + (high - low) * (part - RESERVOIR) / (UPPER - RESERVOIR);
  const now = last ?? 0;
  if (line >= rates_bps[Math.min(now + 1, highest)]) {
    return Math.max(rates_bps.findLastIndex((bps) => bps < line), 0, now);
  }
  if (line <= rates_bps[Math.max(now - 1, 0)]) {
    const above = rates_bps.findIndex((bps) => bps > line);
    return Math.min(above < 0 ? highest : above, now);
  }
  return now;
}

/** The rules by their names, for one session. */
export const rules = () => ({ fixed, throughput: throughput(), bba0: buffer });
