// A headless Chromium, driven over its debugging pipe. Needs Node and nothing else.

import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const DOMAINS = ["Page", "Runtime", "Network", "Log"];

export class Browser {
  #process;
  #profile;
  #session;
  #waiting = new Map();
  #last = 0;
  #wake = () => {};
  /** What the browser told without being asked: { method, params }. */
  heard = [];
  /** Rejects when the browser ends, or does not start. */
  gone;

  constructor(chromium, flags = []) {
    this.#profile = mkdtempSync(join(tmpdir(), "stentor-browser-"));
    this.#process = spawn(chromium, [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
      "--disable-background-networking", `--user-data-dir=${this.#profile}`,
      "--window-size=1400,1000", ...flags, "--remote-debugging-pipe", "about:blank",
    ], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    this.gone = new Promise((_, refuse) => {
      this.#process.on("exit", (code) => refuse(new Error(`the browser ended with ${code}`)));
      this.#process.on("error", (error) => refuse(new Error(`the browser did not start: ${error}`)));
    });
    this.gone.catch(() => {});
    this.#listen();
  }

  // Messages are JSON, each ended by a NUL: to the browser on its descriptor 3, back on 4.
  #listen() {
    let buffer = "";
    this.#process.stdio[4].setEncoding("utf8");
    this.#process.stdio[4].on("data", (text) => {
      buffer += text;
      const messages = buffer.split("\0");
      buffer = messages.pop();
      for (const message of messages.map((text) => JSON.parse(text))) {
        if (message.id) { this.#waiting.get(message.id)(message); }
        else { this.heard.push(message); this.#wake(); }
      }
    });
  }

  ask(method, params = {}) {
    this.#last += 1;
    const id = this.#last;
    const message = { id, method, params, sessionId: this.#session };
    this.#process.stdio[3].write(JSON.stringify(message) + "\0");
    return new Promise((answer, refuse) => this.#waiting.set(id, (message) => {
      this.#waiting.delete(id);
      if (message.error) { refuse(new Error(`${method}: ${message.error.message}`)); }
      else { answer(message.result); }
    }));
  }

  /** Attaches to the one page there is. */
  async attach() {
    const { targetInfos } = await this.ask("Target.getTargets");
    const { targetId } = targetInfos.find((info) => info.type === "page");
    this.#session = (await this.ask("Target.attachToTarget", { targetId, flatten: true })).sessionId;
    for (const domain of DOMAINS) { await this.ask(`${domain}.enable`); }
  }

  /** Opens a page, and waits until it is loaded. */
  async visit(url) {
    this.heard = this.heard.filter(({ method }) => method !== "Page.loadEventFired");
    const { errorText } = await this.ask("Page.navigate", { url });
    if (errorText) { throw new Error(`${url}: ${errorText}`); }
    while (!this.heard.some(({ method }) => method === "Page.loadEventFired")) {
      await new Promise((awake) => { this.#wake = awake; });
    }
  }

  /** The value of an expression in the page, or of the promise that it is. */
  async value(expression) {
    const asked = { expression, returnByValue: true, awaitPromise: true };
    const answer = await this.ask("Runtime.evaluate", asked);
    if (answer.exceptionDetails) { throw new Error(JSON.stringify(answer.exceptionDetails)); }
    return answer.result.value;
  }

  /** What a page should not do, of what was heard: exceptions, and complaints of the browser. */
  complaints() {
    const told = this.heard.map(({ method, params }) => {
      if (method === "Runtime.exceptionThrown") {
        return `the script threw: ${JSON.stringify(params.exceptionDetails)}`;
      }
      const complaint = method === "Log.entryAdded" && params.entry.level === "error";
      return complaint ? `the browser complained: ${params.entry.text} ${params.entry.url ?? ""}` : null;
    });
    return told.filter((text) => text !== null);
  }

  /** The addresses that the page asked for. */
  requests() {
    const asked = this.heard.filter(({ method }) => method === "Network.requestWillBeSent");
    return asked.map(({ params }) => params.request.url);
  }

  // The middle of the first element that matches, in view.
  async #middle(selector) {
    return JSON.parse(await this.value(`(() => {
      const found = document.querySelector(${JSON.stringify(selector)});
      found.scrollIntoView({ block: "center" });
      const box = found.getBoundingClientRect();
      return JSON.stringify({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
    })()`));
  }

  async point(selector) {
    const at = await this.#middle(selector);
    // From elsewhere: a pointer that stays where it is does not point anew.
    await this.ask("Input.dispatchMouseEvent", { type: "mouseMoved", x: 2, y: 2 });
    await this.ask("Input.dispatchMouseEvent", { type: "mouseMoved", ...at });
    return at;
  }

  async click(selector) {
    const at = await this.point(selector);
    for (const type of ["mousePressed", "mouseReleased"]) {
      await this.ask("Input.dispatchMouseEvent", { type, ...at, button: "left", clickCount: 1 });
    }
  }

  async key(name, code, text) {
    const params = { key: name, windowsVirtualKeyCode: code, text };
    await this.ask("Input.dispatchKeyEvent", { type: "keyDown", ...params });
    await this.ask("Input.dispatchKeyEvent", { type: "keyUp", ...params });
  }

  async scheme(value) {
    const features = [{ name: "prefers-color-scheme", value }];
    await this.ask("Emulation.setEmulatedMedia", { features });
  }

  /** Gives the page a size, as a screen of that size would; 0 and 0 undo it. */
  async size(width, height) {
    const metrics = { width, height, deviceScaleFactor: 1, mobile: width > 0 && width < 600 };
    await this.ask("Emulation.setDeviceMetricsOverride", metrics);
  }

  /** A picture of what is in view, or of the whole page. */
  async picture(file, whole = false) {
    const asked = { format: "png", captureBeyondViewport: whole };
    if (whole) {
      const { cssContentSize } = await this.ask("Page.getLayoutMetrics");
      asked.clip = { ...cssContentSize, scale: 1 };
    }
    const { data } = await this.ask("Page.captureScreenshot", asked);
    writeFileSync(file, Buffer.from(data, "base64"));
  }

  async close() {
    const running = this.#process.exitCode === null && this.#process.pid !== undefined;
    if (running) {
      const ended = new Promise((yes) => this.#process.once("exit", yes));
      this.#session = undefined;
      // Asked to close it waits for its own processes, which else go on writing the profile.
      this.ask("Browser.close").catch(() => this.#process.kill("SIGKILL"));
      const late = setTimeout(() => this.#process.kill("SIGKILL"), 10_000);
      await ended;
      clearTimeout(late);
    }
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/**
 * Runs a test: `drive(browser, check)` with a browser that is attached, for at most so many seconds.
 * Each failure is a line on standard error; the program ends with 0 if there is none.
 */
export async function run(chromium, limit_s, drive, flags) {
  const failures = [];
  const check = (holds, what) => { if (!holds) { failures.push(what); } };
  const browser = new Browser(chromium, flags);
  let timer;
  const late = new Promise((_, refuse) => {
    timer = setTimeout(() => refuse(new Error(`it did not end within ${limit_s} s`)), limit_s * 1000);
  });
  const driven = browser.attach().then(() => drive(browser, check));
  try {
    await Promise.race([driven, browser.gone, late]);
  } catch (error) {
    failures.push(String(error.stack || error));
  }
  clearTimeout(timer);
  for (const failure of failures) { console.error(`FAILED: ${failure}`); }
  await browser.close();
  process.exit(failures.length === 0 ? 0 : 1);
}
