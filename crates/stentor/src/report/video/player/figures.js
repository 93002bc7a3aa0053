// The book's figures, those of whole chunks, and what was measured, side by side.

import { chunked, fluid } from "./predict.js";
import { bits, count, rates, seconds } from "./words.js";

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** How long the film froze, for all freezes that are over. */
function freezes(lengths) {
  if (lengths.length === 0) { return "none"; }
  const total = lengths.reduce((sum, length) => sum + length, 0);
  return `${count(lengths.length, "freeze")} of ${seconds(mean(lengths), 2)}, together ${seconds(total)}`;
}

/** How long it played between freezes: from the start to the first, and from each end to the next. */
function plays(start_s, freezes) {
  if (start_s === null || freezes.length === 0) { return "no freeze yet"; }
  let from = start_s;
  const lengths = [];
  for (const { at_s, until_s } of freezes) {
    lengths.push(at_s - from);
    from = until_s ?? Infinity;
  }
  return `${seconds(mean(lengths), 2)} before a freeze`;
}

/** Rows of { name, book, chunks, measured }. */
export function rows(record, settings, film) {
  const [x, R] = [record.arrival_bps, record.playout_bps];
  const { start_s, resume_s, buffer_s } = settings;
  if (x === null) { return []; }
  const [Q, again] = [record.bits_of(start_s), record.bits_of(resume_s)];
  const B = buffer_s * R;
  const complete = record.chunks.length === film.qualities[0].chunks.length;
  const book = fluid({ x, R, Q, B, resume: again });
  const steps = chunked(record.chunks, x, settings, complete);
  // Freezes that last count when they are over.
  const ended = steps.freezes.filter(({ length_s }) => length_s !== null)
    .map(({ at_s, length_s }) => ({ at_s, until_s: at_s + length_s }));
  const lengths = (all) => all.filter(({ until_s }) => until_s !== null)
    .map(({ at_s, until_s }) => until_s - at_s);
  const told = { steps, ended, over: lengths(ended), measured: lengths(record.freezes), record };
  return [
    { name: "x, film arrives at", measured: rates(x) },
    { name: "R, film is played at", measured: rates(R) },
    { name: "Q, before the first picture", measured: `${seconds(start_s)} = ${bits(Q)}` },
    { name: "B, the buffer holds", measured: `${seconds(buffer_s)} = ${bits(B)}` },
    {
      name: "Start-up delay",
      book: `Q/x = ${seconds(book.start_s, 2)}`,
      chunks: steps.start_s === null ? "not yet" : seconds(steps.start_s, 2),
      measured: record.started_s === null ? "not yet" : seconds(record.started_s, 2),
    },
    ...(x < R ? slow(book, told) : fast(book, told)),
  ];
}

/** x < R: the film plays and freezes in turn. */
function slow(book, { steps, ended, over, measured, record }) {
  const playing = book.plays_s === book.later_s ? "" : `, later ${seconds(book.later_s, 2)}`;
  return [
    {
      name: "x < R: it plays",
      book: `Q/(R\u2212x) = ${seconds(book.plays_s, 2)}${playing}`,
      chunks: plays(steps.start_s, ended),
      measured: plays(record.started_s, record.freezes),
    },
    {
      name: "and freezes",
      book: `Q/x = ${seconds(book.freezes_s, 2)}`,
      chunks: freezes(over),
      measured: freezes(measured),
    },
  ];
}

/** x > R: the buffer fills up to B. */
function fast(book, { steps, over, measured, record }) {
  const full = Number.isFinite(book.full_s)
    ? `Q/x + (B\u2212Q)/(x\u2212R) = ${seconds(book.full_s, 2)}` : "never";
  const after = (at_s) => at_s === null ? "not yet" : `after ${seconds(at_s, 2)}`;
  return [
    {
      name: "x \u2265 R: the buffer is full",
      book: full,
      chunks: after(steps.full_s),
      measured: after(record.full_s),
    },
    { name: "and freezes", book: "none", chunks: freezes(over), measured: freezes(measured) },
  ];
}
