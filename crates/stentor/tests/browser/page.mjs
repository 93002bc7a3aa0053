// Drives the page of a trace in headless Chromium, over its debugging pipe, and fails on what it
// should not do. Needs Node and nothing else.
//
//   node page.mjs CHROMIUM FILE.html [FOLDER]    with FOLDER: screenshots, light and dark

import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [chromium, file, folder] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "stentor-page-"));
const browser = spawn(chromium, [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
  "--disable-background-networking", `--user-data-dir=${profile}`, "--window-size=1400,1000",
  "--remote-debugging-pipe", "about:blank",
], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });

// Messages are JSON, each ended by a NUL: to the browser on its descriptor 3, back on 4.
const waiting = new Map();
const heard = [];
let wake = () => {};
let last = 0;
let buffer = "";
browser.stdio[4].setEncoding("utf8");
browser.stdio[4].on("data", (text) => {
  buffer += text;
  const messages = buffer.split("\0");
  buffer = messages.pop();
  for (const message of messages.map((text) => JSON.parse(text))) {
    if (message.id) { waiting.get(message.id)(message); }
    else { heard.push(message); wake(); }
  }
});
browser.on("exit", (code) => { if (!done) { end([`the browser ended with ${code}`]); } });
browser.on("error", (error) => end([`the browser did not start: ${error}`]));
const limit = setTimeout(() => end(["the browser did not answer within 90 s"]), 90_000);

let done = false;
async function end(failures) {
  if (done) { return; }
  done = true;
  clearTimeout(limit);
  for (const failure of failures) { console.error(`FAILED: ${failure}`); }
  const ended = new Promise((yes) => browser.once("exit", yes));
  if (browser.exitCode === null && browser.pid !== undefined) {
    session = undefined;
    // Asked to close it waits for its own processes, which else go on writing the profile.
    ask("Browser.close").catch(() => browser.kill("SIGKILL"));
    const late = setTimeout(() => browser.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(late);
  }
  await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  process.exit(failures.length === 0 ? 0 : 1);
}

let session;
function ask(method, params = {}) {
  last += 1;
  const id = last;
  browser.stdio[3].write(JSON.stringify({ id, method, params, sessionId: session }) + "\0");
  return new Promise((answer, refuse) => waiting.set(id, (message) => {
    if (message.error) { refuse(new Error(`${method}: ${message.error.message}`)); }
    else { answer(message.result); }
  }));
}

async function event(method) {
  for (;;) {
    if (heard.some((message) => message.method === method)) { return; }
    await new Promise((awake) => { wake = awake; });
  }
}

async function value(expression) {
  const answer = await ask("Runtime.evaluate", { expression, returnByValue: true });
  if (answer.exceptionDetails) { throw new Error(JSON.stringify(answer.exceptionDetails)); }
  return answer.result.value;
}

// The middle of the first element that matches, in view.
async function middle(selector) {
  return JSON.parse(await value(`(() => {
    const found = document.querySelector(${JSON.stringify(selector)});
    found.scrollIntoView({ block: "center" });
    const box = found.getBoundingClientRect();
    return JSON.stringify({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
  })()`));
}

async function point(selector) {
  const at = await middle(selector);
  // From elsewhere: a pointer that stays where it is does not point anew.
  await ask("Input.dispatchMouseEvent", { type: "mouseMoved", x: 2, y: 2 });
  await ask("Input.dispatchMouseEvent", { type: "mouseMoved", ...at });
  return at;
}

async function click(selector) {
  const at = await point(selector);
  for (const type of ["mousePressed", "mouseReleased"]) {
    await ask("Input.dispatchMouseEvent", { type, ...at, button: "left", clickCount: 1 });
  }
}

async function key(name, code, text) {
  const params = { key: name, windowsVirtualKeyCode: code, text };
  await ask("Input.dispatchKeyEvent", { type: "keyDown", ...params });
  await ask("Input.dispatchKeyEvent", { type: "keyUp", ...params });
}

async function picture(name) {
  if (!folder) { return; }
  const { data } = await ask("Page.captureScreenshot", { format: "png" });
  writeFileSync(join(folder, name), Buffer.from(data, "base64"));
}

const failures = [];
function check(holds, what) { if (!holds) { failures.push(what); } }
const on = () => value(`[...new Set([...document.querySelectorAll(".item.on")].map((i) => i.dataset.key))].sort().join(" ")`);
const told = () => value(`document.getElementById("details").textContent`);

async function drive() {
  const { targetInfos } = await ask("Target.getTargets");
  const target = targetInfos.find((info) => info.type === "page");
  session = (await ask("Target.attachToTarget", { targetId: target.targetId, flatten: true })).sessionId;
  for (const domain of ["Page", "Runtime", "Network", "Log"]) { await ask(`${domain}.enable`); }
  await ask("Page.navigate", { url: pathToFileURL(resolve(file)).href });
  await event("Page.loadEventFired");
  await picture("page-light.png");

  // A tied packet, and what its hover and click show.
  const packet = await value(`[...document.querySelectorAll(".packet")].find((i) => i.dataset.to !== "").dataset.key`);
  const selector = `[data-key="${packet}"]`;
  const ties = await value(`document.querySelector('${selector}').dataset.to`);
  await point(selector);
  check((await told()).includes("source port"), `hover over ${packet} shows no fields: ${await told()}`);
  check((await on()) === "", "hover alone picks nothing");
  await click(selector);
  const expected = [packet, ...ties.split(" ")].sort().join(" ");
  check((await on()) === expected, `click on ${packet} lights ${await on()}, not ${expected}`);
  check((await value(`document.querySelectorAll(".tie.on").length`)) > 0, "no tie is lit");
  await picture("page-picked.png");
  await key("Escape", 27);
  check((await on()) === "", "Escape lets go");

  // The reverse: from a call to its packets.
  const call = ties.split(" ")[0];
  await click(`[data-key="${call}"]`);
  check((await on()).split(" ").includes(packet), `click on ${call} does not light ${packet}`);
  check((await told()).startsWith("Call #"), `click on ${call} shows ${await told()}`);
  await click(`[data-key="${call}"]`);
  check((await on()) === "", "a second click lets go");

  // All of UDP's header fields.
  const udp = await value(`(() => {
    const data = JSON.parse(document.getElementById("data").textContent);
    return Object.keys(data).find((key) => data[key][0].endsWith(": UDP")) || "";
  })()`);
  if (udp !== "") {
    await point(`[data-key="${udp}"]`);
    for (const field of ["source port", "destination port", "length", "checksum"]) {
      check((await told()).includes(field), `UDP's ${field} is not shown`);
    }
  }

  // Keys: to the first item with Tab, on with the arrows, Enter picks, Escape lets go.
  await value(`document.getElementById("filter").focus()`);
  await key("Tab", 9);
  const first = await value(`document.activeElement.dataset.key || document.activeElement.outerHTML`);
  check(first === (await value(`document.querySelector(".item").dataset.key`)), `Tab leads to ${first}`);
  check((await value(`document.getElementById("details").dataset.key`)) === first, "focus shows no fields");
  await key("Enter", 13, "\r");
  check((await on()).split(" ").includes(first), "Enter picks nothing");
  await key("Escape", 27);
  await key("ArrowDown", 40);
  const second = await value(`document.activeElement.dataset.key`);
  check(second !== undefined && second !== first, "ArrowDown goes nowhere");

  // The filter.
  const conversations = await value(`document.querySelectorAll("section").length`);
  await value(`document.getElementById("filter").focus()`);
  await ask("Input.insertText", { text: "no such conversation" });
  check((await value(`document.querySelectorAll("section:not([hidden])").length`)) === 0, "the filter hides nothing");
  check((await value(`document.getElementById("shown").textContent`)) === `0 of ${conversations}`, "the filter does not count");
  await value(`(() => { const f = document.getElementById("filter"); f.value = ""; f.dispatchEvent(new Event("input")); })()`);
  check((await value(`document.querySelectorAll("section:not([hidden])").length`)) === conversations, "an empty filter hides some");

  // Nothing from the record became markup, nothing was asked of a network, nothing went wrong.
  check((await value(`window.broken === undefined && document.querySelector("img, iframe, a, object, link") === null`)), "text of the record became markup");
  check((await value(`document.querySelectorAll("script").length`)) === 2, "scripts were added");
  for (const message of heard) {
    if (message.method === "Network.requestWillBeSent") {
      const { url } = message.params.request;
      check(url.startsWith("file:"), `the page asked for ${url}`);
    }
    if (message.method === "Runtime.exceptionThrown") {
      failures.push(`the script threw: ${JSON.stringify(message.params.exceptionDetails)}`);
    }
    if (message.method === "Log.entryAdded" && message.params.entry.level === "error") {
      failures.push(`the browser complained: ${message.params.entry.text}`);
    }
  }
  await ask("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: "dark" }] });
  await value("window.scrollTo(0, 0)");
  await picture("page-dark.png");
}

drive().then(() => end(failures), (error) => end([...failures, String(error.stack || error)]));
