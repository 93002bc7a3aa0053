// Plays a film in a player of others in headless Chromium, and fails on error events, dropped pictures,
// and a film that does not go on. The player's page comes from a server of this test, so that the film's
// origin has to allow other origins.
//
//   node players.mjs CHROMIUM NODE_MODULES PLAYER URL SECONDS [SWITCHES]
//
// PLAYER is hls.js, dash.js or shaka; URL that of a manifest; SECONDS of film are to be played, 0 for all
// of it; SWITCHES says how often the quality has to change at least.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { run } from "./browser.mjs";

const [chromium, modules, name, manifest, wanted_s, switches = "0"] = process.argv.slice(2);

/** Of a generated film. */
const PICTURES_PER_SECOND = 5;

// What each player takes to begin. Told: { error } of every error event, fatal or not, { quality } of every
// change of what is shown.
const PLAYERS = {
  "hls.js": {
    library: "hls.js/dist/hls.min.js",
    begin(video, url, tell) {
      const hls = new Hls({ startPosition: 0 });
      hls.on(Hls.Events.ERROR, (_, { details, error }) => tell({ error: `${details}: ${error}` }));
      hls.on(Hls.Events.FRAG_CHANGED, (_, { frag }) => tell({ quality: frag.level }));
      hls.loadSource(url);
      hls.attachMedia(video);
    },
  },
  "dash.js": {
    library: "dashjs/dist/modern/umd/dash.all.min.js",
    begin(video, url, tell) {
      const player = dashjs.MediaPlayer().create();
      const { ERROR, PLAYBACK_ERROR, QUALITY_CHANGE_RENDERED } = dashjs.MediaPlayer.events;
      player.on(ERROR, ({ error }) => tell({ error: `${error.code}: ${error.message}` }));
      player.on(PLAYBACK_ERROR, ({ error }) => tell({ error: `playback: ${error}` }));
      player.on(QUALITY_CHANGE_RENDERED, ({ newRepresentation }) => {
        tell({ quality: newRepresentation.absoluteIndex });
      });
      player.initialize(video, url, false);
    },
  },
  shaka: {
    library: "shaka-player/dist/shaka-player.compiled.js",
    begin(video, url, tell) {
      const player = new shaka.Player();
      const failed = ({ code, message }) => tell({ error: `${code}: ${message}` });
      player.addEventListener("error", ({ detail }) => failed(detail));
      player.addEventListener("adaptation", ({ newTrack }) => tell({ quality: newTrack.bandwidth }));
      player.attach(video).then(() => player.load(url)).catch(failed);
    },
  },
};

// Runs in the page: plays until so many seconds of film were shown, or the end, or an error.
function play(begin, url, wanted_s) {
  const video = document.querySelector("video");
  const said = { errors: [], qualities: [], shown: 0, at_s: 0, ended: false };
  const result = (ended) => {
    const { totalVideoFrames, droppedVideoFrames } = video.getVideoPlaybackQuality();
    const at_s = video.currentTime;
    return { ...said, ended, at_s, decoded: totalVideoFrames, dropped: droppedVideoFrames };
  };
  return new Promise((done) => {
    const picture = () => { said.shown += 1; video.requestVideoFrameCallback(picture); };
    video.requestVideoFrameCallback(picture);
    video.addEventListener("ended", () => done(result(true)));
    video.addEventListener("error", () => {
      said.errors.push(`the video: ${video.error.message}`);
      done(result(false));
    });
    video.addEventListener("timeupdate", () => {
      if (wanted_s > 0 && video.currentTime >= wanted_s) { done(result(false)); }
    });
    begin(video, url, ({ error, quality }) => {
      if (error !== undefined) { said.errors.push(error); done(result(false)); }
      if (quality !== undefined && quality !== said.qualities.at(-1)) { said.qualities.push(quality); }
    });
  });
}

const player = PLAYERS[name];
const page = "<!DOCTYPE html><meta charset=utf-8><link rel=icon href=data:,>"
  + "<script src=/library.js></script><video muted autoplay playsinline width=640 height=360></video>";

/** Serves the page and the library, and nothing else. */
function serve() {
  const library = readFileSync(join(modules, player.library));
  const server = createServer((request, answer) => {
    const script = request.url === "/library.js";
    answer.setHeader("content-type", script ? "text/javascript; charset=utf-8" : "text/html");
    answer.end(script ? library : page);
  });
  return new Promise((ready) => server.listen(0, "127.0.0.1", () => ready(server)));
}

async function drive(browser, check) {
  const server = await serve();
  await browser.visit(`http://127.0.0.1:${server.address().port}/`);
  const begin = player.begin.toString().replace(/^begin/, "function");
  const said = await browser.value(
    `(${play})(${begin}, ${JSON.stringify(manifest)}, ${Number(wanted_s)})`);
  console.log(JSON.stringify({ player: name, ...said }));
  for (const error of said.errors) { check(false, `${name} had an error: ${error}`); }
  check(said.dropped === 0, `${said.dropped} of ${said.decoded} pictures were dropped`);
  check(said.shown > 0, "no picture was shown");
  if (wanted_s === "0") {
    check(said.ended, `the film did not end: it stood at ${said.at_s} s`);
    const pictures = Math.round(said.at_s * PICTURES_PER_SECOND);
    check(said.decoded >= pictures, `${said.decoded} of ${pictures} pictures were decoded`);
  }
  const changes = Math.max(0, said.qualities.length - 1);
  check(changes >= Number(switches), `the quality changed ${changes} times: ${said.qualities}`);
  for (const complaint of browser.complaints()) { check(false, complaint); }
  server.close();
}

await run(chromium, 120, drive);
