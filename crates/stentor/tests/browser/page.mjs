// Drives the page of a trace in headless Chromium, and fails on what it should not do.
//
//   node page.mjs CHROMIUM FILE.html [FOLDER]    with FOLDER: screenshots, light and dark

import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { run } from "./browser.mjs";

const [chromium, file, folder] = process.argv.slice(2);

async function drive(browser, check) {
  const picture = async (name) => { if (folder) { await browser.picture(join(folder, name)); } };
  const on = () => browser.value(`[...new Set([...document.querySelectorAll(".item.on")].map((i) => i.dataset.key))].sort().join(" ")`);
  const told = () => browser.value(`document.getElementById("details").textContent`);
  await browser.visit(pathToFileURL(resolve(file)).href);
  await picture("page-light.png");

  // A tied packet, and what its hover and click show.
  const packet = await browser.value(`[...document.querySelectorAll(".packet")].find((i) => i.dataset.to !== "").dataset.key`);
  const selector = `[data-key="${packet}"]`;
  const ties = await browser.value(`document.querySelector('${selector}').dataset.to`);
  await browser.point(selector);
  check((await told()).includes("source port"), `hover over ${packet} shows no fields: ${await told()}`);
  check((await on()) === "", "hover alone picks nothing");
  await browser.click(selector);
  const expected = [packet, ...ties.split(" ")].sort().join(" ");
  check((await on()) === expected, `click on ${packet} lights ${await on()}, not ${expected}`);
  check((await browser.value(`document.querySelectorAll(".tie.on").length`)) > 0, "no tie is lit");
  await picture("page-picked.png");
  await browser.key("Escape", 27);
  check((await on()) === "", "Escape lets go");

  // The reverse: from a call to its packets.
  const call = ties.split(" ")[0];
  await browser.click(`[data-key="${call}"]`);
  check((await on()).split(" ").includes(packet), `click on ${call} does not light ${packet}`);
  check((await told()).startsWith("Call #"), `click on ${call} shows ${await told()}`);
  await browser.click(`[data-key="${call}"]`);
  check((await on()) === "", "a second click lets go");

  // All of UDP's header fields.
  const udp = await browser.value(`(() => {
    const data = JSON.parse(document.getElementById("data").textContent);
    return Object.keys(data).find((key) => data[key][0].endsWith(": UDP")) || "";
  })()`);
  if (udp !== "") {
    await browser.point(`[data-key="${udp}"]`);
    for (const field of ["source port", "destination port", "length", "checksum"]) {
      check((await told()).includes(field), `UDP's ${field} is not shown`);
    }
  }

  // Keys: to the first item with Tab, on with the arrows, Enter picks, Escape lets go.
  await browser.value(`document.getElementById("filter").focus()`);
  await browser.key("Tab", 9);
  const first = await browser.value(`document.activeElement.dataset.key || document.activeElement.outerHTML`);
  check(first === (await browser.value(`document.querySelector(".item").dataset.key`)), `Tab leads to ${first}`);
  check((await browser.value(`document.getElementById("details").dataset.key`)) === first, "focus shows no fields");
  await browser.key("Enter", 13, "\r");
  check((await on()).split(" ").includes(first), "Enter picks nothing");
  await browser.key("Escape", 27);
  await browser.key("ArrowDown", 40);
  const second = await browser.value(`document.activeElement.dataset.key`);
  check(second !== undefined && second !== first, "ArrowDown goes nowhere");

  // The filter.
  const conversations = await browser.value(`document.querySelectorAll("section").length`);
  await browser.value(`document.getElementById("filter").focus()`);
  await browser.ask("Input.insertText", { text: "no such conversation" });
  check((await browser.value(`document.querySelectorAll("section:not([hidden])").length`)) === 0, "the filter hides nothing");
  check((await browser.value(`document.getElementById("shown").textContent`)) === `0 of ${conversations}`, "the filter does not count");
  await browser.value(`(() => { const f = document.getElementById("filter"); f.value = ""; f.dispatchEvent(new Event("input")); })()`);
  check((await browser.value(`document.querySelectorAll("section:not([hidden])").length`)) === conversations, "an empty filter hides some");

  // Nothing from the record became markup, nothing was asked of a network, nothing went wrong.
  check((await browser.value(`window.broken === undefined && document.querySelector("img, iframe, a, object, link") === null`)), "text of the record became markup");
  check((await browser.value(`document.querySelectorAll("script").length`)) === 2, "scripts were added");
  for (const url of browser.requests()) {
    check(url.startsWith("file:"), `the page asked for ${url}`);
  }
  for (const complaint of browser.complaints()) { check(false, complaint); }
  await browser.scheme("dark");
  await browser.value("window.scrollTo(0, 0)");
  await picture("page-dark.png");
}

await run(chromium, 90, drive);
