// Compares the page's formulae, rules and reading of playlists with those of the program: cases with what the program says
// come as JSON on standard input. Needs Node, and no browser.
//
//   node agreement.mjs FOLDER-OF-THE-PAGE < CASES.json

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const module = (name) => import(pathToFileURL(join(resolve(process.argv[2]), name)).href);
const { Estimator, rules } = await module("rules.js");
const { chunked, fluid } = await module("predict.js");
const { chunks } = await module("film.js");

const same = (one, other) =>
  one === other || (typeof one === "number" && Math.abs(one - other) <= 1e-6 * (1 + Math.abs(other)));

let [compared, failed] = [0, 0];
function compare(what, said, expected) {
  compared += 1;
  if (same(said, expected)) { return; }
  failed += 1;
  console.error(`FAILED: ${what} is ${said}, and the program says ${expected}`);
}

function predictions({ chunks, x, policy, complete, expected }, at) {
  const course = chunked(chunks, x, policy, complete);
  compare(`start-up of case ${at}`, course.start_s, expected.start_s);
  compare(`filling of case ${at}`, course.full_s, expected.full_s);
  compare(`freezes of case ${at}`, course.freezes.length, expected.freezes.length);
  expected.freezes.forEach(([at_s, length_s], place) => {
    compare(`freeze ${place} of case ${at}`, course.freezes[place]?.at_s, at_s);
    compare(`length of freeze ${place} of case ${at}`, course.freezes[place]?.length_s, length_s);
  });
}

function formulae({ given, expected }, at) {
  const book = fluid(given);
  for (const [name, value] of Object.entries(expected)) {
    compare(`${name} of formula ${at}`, book[name], value);
  }
}

function choices({ rates_bps, chunk_s, capacity_s, steps }, at) {
  const [estimator, own] = [new Estimator(), rules()];
  const last = { throughput: null, bba0: null };
  steps.forEach(({ level_s, bytes, latency_s, body_s, expected }, step) => {
    for (const name of ["throughput", "bba0"]) {
      const known = { rates_bps, chunk_s, capacity_s, level_s };
      const quality = own[name]({ ...known, last: last[name], estimate: estimator.value, wanted: 0 });
      compare(`${name} in step ${step} of session ${at}`, quality, expected[name]);
      last[name] = quality;
    }
    estimator.feed({ bytes, latency_s, body_s, chunk_s });
  });
}

function playlists({ text, base, expected }, at) {
  compare(`playlist ${at}`, canonical(chunks(text, base)), canonical(expected));
}

/** JSON with the keys of every object in one order. */
function canonical(value) {
  return JSON.stringify(value, (_, part) => part && typeof part === "object" && !Array.isArray(part)
    ? Object.fromEntries(Object.entries(part).sort(([one], [other]) => one < other ? -1 : 1))
    : part);
}

const cases = JSON.parse(readFileSync(0, "utf8"));
cases.predictions.forEach(predictions);
cases.formulae.forEach(formulae);
cases.sessions.forEach(choices);
cases.playlists.forEach(playlists);
console.log(`${compared} compared, ${failed} differ`);
process.exit(failed === 0 ? 0 : 1);
