// The page's comfort: parts are asked for again and again and only what has changed is replaced, forms are sent without
// leaving the page, and pictures of the cameras follow each other. While the page is not seen it asks for nothing.
"use strict";

const wait = ms => new Promise(done => setTimeout(done, ms));
const seen = () => document.hidden ? new Promise(done => document.addEventListener("visibilitychange", done, { once: true })) : null;

// get fetches something; a session that has ended leads to the login.
async function get(path) {
  const answer = await fetch(path);
  if (answer.status === 401) location.assign("/login");
  return answer;
}

// busy says that somebody is at work in an element.
function busy(el) {
  return el.contains(document.activeElement) && document.activeElement.matches("input, select, button:disabled") ||
    [...el.querySelectorAll("input:not([type=hidden])")].some(i => i.value !== i.defaultValue) || !!el.querySelector("button:disabled");
}

// merge makes a part's elements those of a new text, and leaves alone what is the same or in use.
function merge(part, text) {
  const fresh = document.createElement("template");
  fresh.innerHTML = text;
  const old = new Map([...part.children].map(el => [el.dataset.key, el]));
  let at = part.firstElementChild;
  for (const el of [...fresh.content.children]) {
    el.text = el.outerHTML;
    const before = old.get(el.dataset.key);
    old.delete(el.dataset.key);
    if (before && (before.text === el.text || busy(before))) {
      if (before === at) at = at.nextElementSibling;
      else part.insertBefore(before, at);
      continue;
    }
    if (before) {
      if (before.open) el.open = true;
      if (before === at) at = at.nextElementSibling;
      before.replaceWith(el);
      if (el.nextElementSibling !== at) part.insertBefore(el, at);
      continue;
    }
    part.insertBefore(el, at);
  }
  for (const el of old.values()) el.remove();
}

// refresh asks for a part.
async function refresh(part) {
  const lost = document.getElementById("lost");
  try {
    const answer = await get(`/part/${part.dataset.part}?have=${part.version || ""}`);
    lost.hidden = true;
    if (answer.status !== 200) return;
    part.version = answer.headers.get("Xbm-Version");
    merge(part, await answer.text());
    if (part.dataset.part === "cameras") watchAll();
  } catch {
    lost.hidden = false;
  }
}

async function follow(part) {
  for (const el of part.children) el.text = el.outerHTML;
  for (;;) {
    await wait(1000 * part.dataset.every);
    await seen();
    await refresh(part);
  }
}

// say shows what became of a change.
function say(text, good) {
  const el = document.getElementById("said");
  el.textContent = text;
  el.className = good ? "" : "bad";
  el.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { el.hidden = true; }, good ? 6000 : 12000);
}

async function send(form) {
  const button = form.querySelector("button"), label = button.textContent;
  const body = new URLSearchParams(new FormData(form));
  button.disabled = true;
  if (form.dataset.wait) button.textContent = form.dataset.wait;
  let said;
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    if (answer.status === 401) location.assign("/login");
    const kind = answer.headers.get("Content-Type") || "";
    said = kind.startsWith("application/json") ? await answer.json() : { ok: false, message: await answer.text() };
  } catch {
    said = { ok: false, message: "The agent does not answer." };
  }
  button.disabled = false;
  button.textContent = label;
  if (said.ok) form.reset();
  if (form.contains(document.activeElement)) document.activeElement.blur();
  say(said.message, said.ok);
  for (const part of document.querySelectorAll("[data-part]")) {
    if (part.version || part.children.length) refresh(part);
  }
}

document.addEventListener("submit", event => {
  const form = event.target;
  if (!form.getAttribute("action").startsWith("/do/")) return;
  event.preventDefault();
  if (!form.dataset.sure || confirm(form.dataset.sure)) send(form);
});

// watch shows one camera.
async function watch(figure) {
  const img = figure.querySelector("img"), none = figure.querySelector(".none"), stage = figure.querySelector(".stage");
  const path = `/camera/${encodeURIComponent(figure.dataset.camera)}/picture?after=`;
  let after = "0";
  while (figure.isConnected) {
    await seen();
    try {
      const answer = await get(path + after);
      if (answer.ok) {
        after = answer.headers.get("Xbm-Shot");
        const things = JSON.parse(decodeURIComponent(answer.headers.get("Xbm-Things")));
        const url = URL.createObjectURL(await answer.blob()), before = img.src;
        img.src = url;
        await img.decode();
        if (before) URL.revokeObjectURL(before);
        stage.style.maxWidth = `calc(70vh * ${img.naturalWidth / img.naturalHeight})`; // all of it is seen at once
        img.hidden = false;
        none.hidden = true;
        draw(stage, things);
        continue;
      }
      none.textContent = (await answer.text()).trim();
    } catch {
      none.textContent = "No picture.";
    }
    none.hidden = false;
    draw(stage, []);
    await wait(2000);
  }
}

function draw(stage, things) {
  for (const el of stage.querySelectorAll(".box")) el.remove();
  for (const t of things) {
    const el = document.createElement("div"), label = document.createElement("span");
    const [left, top, width, height] = t.box.map(v => `${100 * v}%`);
    Object.assign(el.style, { left, top, width, height });
    el.className = `box${t.known ? " known" : ""}${t.told ? "" : " guess"}`;
    label.textContent = `${t.name}${t.told ? "" : "?"} ${t.score.toFixed(2)}`;
    el.append(label);
    stage.append(el);
  }
}

const watched = new WeakSet();
function watchAll() {
  for (const figure of document.querySelectorAll("[data-camera]")) {
    if (watched.has(figure)) continue;
    watched.add(figure);
    watch(figure);
  }
}

for (const part of document.querySelectorAll("[data-part]")) {
  if (part.dataset.every !== "0") follow(part);
}
for (const el of document.querySelectorAll("details[data-lazy]")) {
  el.addEventListener("toggle", () => { if (el.open) refresh(el.querySelector("[data-part]")); });
}
watchAll();
