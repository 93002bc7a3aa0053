// What the book says a buffer does (Kurose and Ross, section 2.6), and what happens to whole chunks.
//
// x is the arrival rate and R the play-out rate in bit/s, Q what is buffered before playing, B what the
// buffer holds, in bits. The formulae are of a fluid, and chunks do not flow: a chunk can be played only
// when its last byte is there.

/** Moments closer than this are one: sums of seconds are not exact. */
const SAME_S = 1e-9;

/** The formulae. `resume` is the Q of every time but the first. */
export function fluid({ x, R, Q, B, resume }) {
  const start_s = Q / x;
  if (x < R) {
    const plays_s = Q / (R - x);
    return { start_s, plays_s, freezes_s: resume / x, later_s: resume / (R - x) };
  }
  return { start_s, full_s: x > R ? Q / x + (B - Q) / (x - R) : Infinity };
}

/**
 * Chunks of { bytes, seconds }, one after the other at a constant rate of x: when playing begins, every
 * freeze, and when a chunk first waits for room. `complete` says that no more chunks follow.
 */
export function chunked(chunks, x, { start_s, resume_s, buffer_s }, complete) {
  const course = { start_s: null, freezes: [], full_s: null };
  let [now, level, playing] = [0, 0, false];
  const pass = (seconds) => {
    if (playing && seconds > level + SAME_S) {
      course.freezes.push({ at_s: now + level, length_s: null });
      playing = false;
      level = 0;
    } else if (playing) {
      level = Math.max(0, level - seconds);
    }
    now += seconds;
  };
  const begin = (enough) => {
    if (playing || level === 0 || !enough) { return; }
    playing = true;
    if (course.start_s === null) { course.start_s = now; return; }
    const freeze = course.freezes.at(-1);
    freeze.length_s = now - freeze.at_s;
  };
  for (const { bytes, seconds } of chunks) {
    const excess = Math.min(level, level + seconds - buffer_s);
    if (excess > SAME_S) {
      course.full_s ??= now;
      begin(true);
      pass(excess);
    }
    pass(bytes * 8 / x);
    level += seconds;
    begin(level >= (course.start_s === null ? start_s : resume_s) - SAME_S);
  }
  begin(complete);
  return course;
}
