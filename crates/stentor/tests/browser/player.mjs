// Drives the origin's page in headless Chromium, and fails on what it should not do.
//
//   node player.mjs CHROMIUM SCENE ORIGIN [FOLDER]    with FOLDER: screenshots
//
// Scenes, each with an origin that the caller has started:
//   plays    faster than the film: by keyboard, to the end, without a freeze
//   freezes  slower than quality 2 of the film "short": what is drawn is what the <video> did
//   fault    chunk 3 of quality 0 is refused some times: the page says it, and plays on
//   missing  chunk 3 of quality 0 is never there: the page says it, and gives up

import { join } from "node:path";

import { run } from "./browser.mjs";

const [chromium, scene, origin, folder] = process.argv.slice(2);

/** Two clocks of one freeze may differ so far: a turn of the page and a picture on the screen each. */
const TOLERANCE_S = 0.15;

// A witness of its own, which knows nothing of the page's events: it looks at the film's time whenever the
// browser draws. Where the clock went on and the film did not, the film was frozen.
function watch(tolerance_s) {
  const seen = { first_ms: null, freezes: [], shown: 0 };
  window.witness = seen;
  let last = null;
  const look = (now_ms, video) => {
    const now = { clock_s: now_ms / 1000, film_s: video.currentTime };
    if (last !== null && now.film_s === last.film_s) { return; }
    if (last !== null && now.film_s > 0) {
      seen.first_ms ??= now_ms;
      const lag_s = now.clock_s - last.clock_s - (now.film_s - last.film_s);
      if (last.film_s > 0 && lag_s > tolerance_s) { seen.freezes.push(lag_s); }
    }
    last = now;
  };
  document.addEventListener("DOMContentLoaded", () => {
    const video = document.querySelector("video");
    const frame = () => { look(performance.now(), video); requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
    const picture = () => { seen.shown += 1; video.requestVideoFrameCallback(picture); };
    video.requestVideoFrameCallback(picture);
  });
}

// Runs in the page: waits until an element's text matches.
function text(selector, pattern) {
  return new Promise((found) => {
    const place = document.querySelector(selector);
    const look = () => {
      if (new RegExp(pattern).test(place.textContent)) {
        observer.disconnect();
        found(place.textContent);
      }
    };
    const observer = new MutationObserver(look);
    observer.observe(place, { childList: true, characterData: true, subtree: true });
    look();
  });
}

// Runs in the page: what it has drawn.
function drawn() {
  const shades = [...document.querySelectorAll(".shades rect")].map((shade) => ({
    kind: shade.getAttribute("class"),
    at_s: Number(shade.dataset.at_s),
    lasts_s: Number(shade.dataset.until_s) - Number(shade.dataset.at_s),
  }));
  const rows = [...document.querySelectorAll("#requests tr")].map((row) => row.textContent);
  const { totalVideoFrames, droppedVideoFrames } =
    document.querySelector("video").getVideoPlaybackQuality();
  const asked = performance.getEntriesByName(`${location.origin}/init.mp4`)[0]?.startTime;
  return {
    shades, rows, asked_ms: asked, decoded: totalVideoFrames, dropped: droppedVideoFrames,
    figures: document.getElementById("rows").innerText,
    wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  };
}

class Page {
  constructor(browser) { this.browser = browser; }

  async open(settings) {
    const source = `(${watch})(${TOLERANCE_S})`;
    await this.browser.ask("Page.addScriptToEvaluateOnNewDocument", { source });
    await this.browser.visit(`${origin}/#${settings}`);
    await this.browser.value(`(${text})("#film", "chunks of")`);
    await this.browser.value(`new Promise((ready) => {
      const look = () => document.getElementById("play").disabled ? requestAnimationFrame(look) : ready();
      look();
    })`);
  }

  says(pattern) {
    return this.browser.value(`(${text})("#state", ${JSON.stringify(pattern)})`);
  }

  async drawn() {
    // What has been told is drawn with one of the next frames.
    await this.browser.value("new Promise((done) => setTimeout(() => requestAnimationFrame(done), 200))");
    return this.browser.value(`(${drawn})()`);
  }

  witness() { return this.browser.value("window.witness"); }

  /** Light and dark, on a desk and on a telephone; whether something was wider than the screen. */
  async pictures(name) {
    const wide = [];
    for (const [where, width, height] of [["desk", 1400, 1000], ["phone", 390, 844]]) {
      await this.browser.size(width, height);
      for (const scheme of ["light", "dark"]) {
        await this.browser.scheme(scheme);
        if ((await this.drawn()).wide) { wide.push(`${where} ${scheme}`); }
        if (folder) { await this.browser.picture(join(folder, `${name}-${where}-${scheme}.png`), true); }
      }
    }
    return wide;
  }
}

const SCENES = {
  async plays(page, check) {
    const { browser } = page;
    await page.open("start=2&resume=2&buffer=4&rule=throughput");
    await browser.key("Tab", 9);
    const first = await browser.value("document.activeElement.id");
    check(first === "play", `Tab leads to ${first}`);
    await browser.key("Enter", 13, "\r");
    await page.says("Playing since");
    // Held and let go again, by keyboard too: no freeze, and no picture is lost.
    await browser.key("Enter", 13, "\r");
    await page.says("Paused");
    check(await browser.value(`document.querySelector("video").paused`), "it says Paused, and plays");
    await browser.key("Enter", 13, "\r");
    await page.says("Played to the end");
    const said = await page.drawn();
    const kinds = said.shades.map(({ kind }) => kind).join(" ");
    check(kinds === "startup hold", `shades are ${JSON.stringify(said.shades)}`);
    check(said.rows.length === 10, `${said.rows.length} requests in the log: ${said.rows}`);
    check(said.decoded === 50 && said.dropped === 0, `${said.decoded} decoded, ${said.dropped} dropped`);
    check(/buffer is full[^]*after/.test(said.figures), `the buffer was never full: ${said.figures}`);
    const switched = await browser.value(`document.querySelectorAll("#requests .switched").length`);
    check(switched > 0, "throughput changed no quality");
    const wide = await page.pictures("plays");
    check(wide.length === 0, `the page is wider than its screen: ${wide}`);
  },

  async freezes(page, check) {
    await page.open("start=2&resume=1&buffer=6&rule=fixed&quality=2");
    await page.browser.click("#play");
    await page.says("Frozen");
    await page.says("Played to the end");
    const [said, seen] = [await page.drawn(), await page.witness()];
    const long = said.shades.filter(({ kind, lasts_s }) => kind === "freeze" && lasts_s > TOLERANCE_S);
    const lengths = (all) => all.map((length_s) => length_s.toFixed(3)).join(" ");
    const [shown, was] = [long.map(({ lasts_s }) => lasts_s), seen.freezes];
    console.log(JSON.stringify({ drawn_s: shown, seen_s: was, decoded: said.decoded, figures: said.figures }));
    check(shown.length >= 3, `only ${shown.length} freezes were drawn`);
    const alike = shown.length === was.length
      && shown.every((length_s, at) => Math.abs(length_s - was[at]) < TOLERANCE_S);
    check(alike, `drawn freezes of ${lengths(shown)}, and the film stood for ${lengths(was)}`);
    const [startup] = said.shades;
    const first_s = (seen.first_ms - said.asked_ms) / 1000;
    const close = startup.kind === "startup" && Math.abs(startup.lasts_s - first_s) < TOLERANCE_S;
    check(close, `a start-up of ${startup.lasts_s} s was drawn, and the film moved after ${first_s} s`);
    check(said.decoded === 50, `${said.decoded} pictures were decoded`);
    await page.pictures("freezes");
  },

  async fault(page, check) {
    await page.open("start=1&resume=1&buffer=4&rule=fixed&quality=0");
    await page.browser.click("#play");
    const said = await page.says("/0/3\\.m4s: 404");
    check(said.includes("Asking again"), `it says ${said}`);
    await page.says("Played to the end");
    const { rows } = await page.drawn();
    check(rows.some((row) => row.includes("404")), "the log has no 404");
    check(rows.filter((row) => row.includes("200")).length === 10, `the log is ${rows}`);
  },

  async missing(page, check) {
    await page.open("start=1&resume=1&buffer=4&rule=fixed&quality=0");
    await page.browser.click("#play");
    const said = await page.says("Given up");
    check(said.includes("/0/3.m4s: 404"), `it says ${said}`);
    const label = await page.browser.value(`(${text})("#play", "again")`);
    check(label === "Play again", `the button says ${label}`);
    await page.pictures("missing");
  },
};

async function drive(browser, check) {
  await SCENES[scene](new Page(browser), check);
  for (const url of browser.requests()) {
    check(url.startsWith(origin) || url.startsWith("data:") || url.startsWith("blob:"), `it asked for ${url}`);
  }
  // A browser complains of every 404 by itself.
  const faulty = ["fault", "missing"].includes(scene);
  const others = browser.complaints().filter((text) => !faulty || !text.includes("404"));
  for (const complaint of others) { check(false, complaint); }
}

await run(chromium, 120, drive);
