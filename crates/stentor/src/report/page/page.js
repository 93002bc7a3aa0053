// Shows details and ties. Text is set by textContent alone: nothing from the record becomes markup.
"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const details = document.getElementById("details");
  const hint = document.getElementById("hint");
  const items = Array.from(document.querySelectorAll(".item"));
  const byKey = new Map();
  const tiesOf = new Map();
  let picked = null;

  function into(map, key, element) {
    if (!map.has(key)) { map.set(key, []); }
    map.get(key).push(element);
  }
  for (const item of items) {
    into(byKey, item.dataset.key, item);
    item.setAttribute("tabindex", "0");
    item.setAttribute("role", "button");
    item.setAttribute("aria-pressed", "false");
    // The browser's own bubble would cover the picture; the fields stand beside it.
    const title = item.querySelector("title");
    if (title) { item.setAttribute("aria-label", title.textContent); title.remove(); }
  }
  for (const tie of document.querySelectorAll(".tie")) {
    for (const key of tie.dataset.tie.split(" ")) { into(tiesOf, key, tie); }
  }

  function element(name, text) {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  }

  function show(key) {
    const told = data[key];
    details.replaceChildren();
    if (!told) { details.append(hint); return; }
    details.dataset.key = key;
    details.append(element("h2", told[0]));
    const table = document.createElement("table");
    for (const [name, value] of told[1]) {
      const row = document.createElement("tr");
      if (value === null) { row.className = "part"; }
      row.append(element("th", name), element("td", value === null ? "" : value));
      table.append(row);
    }
    details.append(table);
  }

  function clear() {
    picked = null;
    document.body.classList.remove("picked");
    for (const on of document.querySelectorAll(".on")) { on.classList.remove("on"); }
    for (const item of items) {
      if (item.getAttribute("aria-pressed") === "true") { item.setAttribute("aria-pressed", "false"); }
    }
  }

  function pick(item) {
    const key = item.dataset.key;
    if (picked === key) { clear(); return; }
    clear();
    picked = key;
    document.body.classList.add("picked");
    const keys = item.dataset.to.split(" ").filter((other) => other !== "");
    for (const own of byKey.get(key)) {
      own.classList.add("on");
      own.setAttribute("aria-pressed", "true");
    }
    for (const other of keys) {
      for (const tied of byKey.get(other) || []) { tied.classList.add("on"); }
    }
    for (const tie of tiesOf.get(key) || []) { tie.classList.add("on"); }
    show(key);
  }

  function itemOf(event) {
    return event.target instanceof Element ? event.target.closest(".item") : null;
  }

  // A page that scrolls under a pointer at rest is no pointing: what has the focus stays shown.
  let rested = "";
  document.addEventListener("mouseover", (event) => {
    const place = event.clientX + "," + event.clientY;
    if (place === rested) { return; }
    rested = place;
    const item = itemOf(event);
    if (item) { show(item.dataset.key); }
    else if (picked !== null && event.target.closest("main")) { show(picked); }
  });
  document.addEventListener("mousemove", (event) => {
    rested = event.clientX + "," + event.clientY;
  });
  document.addEventListener("focusin", (event) => {
    const item = itemOf(event);
    if (item) { show(item.dataset.key); }
  });
  document.addEventListener("click", (event) => {
    const item = itemOf(event);
    if (item) { pick(item); }
    else if (event.target.closest("main")) { clear(); }
  });

  function step(from, by) {
    const seen = items.filter((item) => !item.closest("section").hidden);
    const next = seen[seen.indexOf(from) + by];
    if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); }
  }

  document.addEventListener("keydown", (event) => {
    const item = itemOf(event);
    if (event.key === "Escape") { clear(); }
    else if (item && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      pick(item);
    } else if (item && event.key === "ArrowDown") { event.preventDefault(); step(item, 1); }
    else if (item && event.key === "ArrowUp") { event.preventDefault(); step(item, -1); }
  });

  const filter = document.getElementById("filter");
  const sections = Array.from(document.querySelectorAll("section"));
  function sift() {
    const wanted = filter.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    let shown = 0;
    for (const section of sections) {
      section.hidden = !wanted.every((word) => section.dataset.words.includes(word));
      if (!section.hidden) { shown += 1; }
    }
    document.getElementById("shown").textContent = shown + " of " + sections.length;
  }
  filter.addEventListener("input", sift);
  sift();
}());
