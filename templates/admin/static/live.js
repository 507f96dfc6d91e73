// Keeps a page as it is now. Nothing else.
//
// What somebody does on it stays: a form with data-keep that was touched, an open
// dialog, what is unfolded, and what has data-own, which is another script's.

import { Idiomorph } from "./vendor/idiomorph.js";
import { listen } from "./stream.js";

const LEAST_MS = 250;
const POLL_MS = 2000;
const SLOWEST_MS = 30000;
const SAFE_MS = 15000;
const live = document.getElementById("live");
const touched = new WeakSet();
let isLive = false;
let isAsking = false;
let isWanted = false;
let timer = 0;
let pause = POLL_MS;
let least = LEAST_MS;
let askedAt = 0;
let tag = "";
// How far the server's clock is ahead of this one's.
let ahead = 0;

function show(word, kind) {
  if (live.textContent !== word) live.textContent = word;
  live.className = kind;
}

// Whoever reads a selection is not interrupted.
const isReading = () => String(getSelection()) !== "";

const isKept = (node) => node instanceof Element
  && (touched.has(node) || node.hasAttribute("data-own") || (node.tagName === "DIALOG" && node.open));

const keeps = (node) => isKept(node) || (node instanceof Element
  && [...node.querySelectorAll("[data-keep], dialog[open]")].some(isKept));

// Only of what is typed into: a button that has the keyboard is to say what it does now.
const isTyping = () => /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName);

function place(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("main");
  if (!fresh) return;
  Idiomorph.morph(document.getElementById("main"), fresh, {
    ignoreActiveValue: isTyping(),
    callbacks: {
      beforeNodeMorphed: (node) => !isKept(node),
      beforeNodeRemoved: (node) => !keeps(node),
      beforeAttributeUpdated: (name, node) => !(name === "open" && /^(DETAILS|DIALOG)$/.test(node.tagName)),
    },
  });
  age();
}

async function ask() {
  const answer = await fetch(location.href, {
    headers: { Accept: "text/html", ...(tag && { "If-None-Match": tag }) }, cache: "no-store",
  });
  if (answer.redirected && new URL(answer.url).pathname !== location.pathname) {
    location.assign(answer.url);
    return;
  }
  // Not signed in any more: the page itself is sent where that is done.
  if (answer.status === 401) {
    location.reload();
    return;
  }
  const said = Date.parse(answer.headers.get("Date"));
  if (said) ahead = said - Date.now();
  if (answer.status !== 304) {
    // What has been deleted meanwhile is gone from the page, too.
    if (!answer.ok && answer.status !== 404) throw new Error(String(answer.status));
    place(await answer.text());
    tag = answer.headers.get("ETag") || "";
  }
  pause = POLL_MS;
  show(isLive ? "live" : `every ${POLL_MS / 1000} s`, isLive ? "well" : "unknown");
}

async function look() {
  clearTimeout(timer);
  if (isAsking) {
    isWanted = true;
    return;
  }
  if (document.hidden) return;
  if (isReading()) {
    timer = setTimeout(look, POLL_MS);
    return;
  }
  isAsking = true;
  isWanted = false;
  const begunAt = performance.now();
  try {
    await ask();
  } catch (error) {
    const why = error instanceof TypeError ? "no connection" : error.message;
    show(`not live: ${why}`, "ill");
    pause = Math.min(2 * pause, SLOWEST_MS);
  }
  askedAt = performance.now();
  // What a server has much to do with is asked for less often.
  least = Math.max(LEAST_MS, 4 * (askedAt - begunAt));
  isAsking = false;
  // Of some things nobody tells that they have changed.
  const isTold = isLive && document.getElementById("main").dataset.often === undefined;
  timer = setTimeout(look, isTold && pause === POLL_MS ? SAFE_MS : pause);
  if (isWanted) soon();
}

// Something has changed; what changes at once is looked at once, and not by all at once.
function soon() {
  isWanted = true;
  if (isAsking) return;
  clearTimeout(timer);
  timer = setTimeout(look, Math.max(0, askedAt + least - performance.now()) + 100 * Math.random());
}

function concerns(change) {
  const { app, name, runs } = document.getElementById("main").dataset;
  // Of jobs there may be many runs a second: only pages that show them look again.
  if (change.kind === "runs") return runs !== undefined && (!runs || !change.name || change.name === runs);
  if (app === undefined || !change.app) return true;
  return change.app === app && (change.kind !== "instance" || change.name === name);
}

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];

function age() {
  for (const each of document.querySelectorAll("time[data-ahead]")) {
    const seconds = (Date.parse(each.dateTime) - Date.now() - ahead) / 1000;
    const [size, unit] = UNITS.find(([size]) => seconds >= 2 * size) || [1, "s"];
    const text = seconds > 0 ? `in ${Math.floor(seconds / size)} ${unit}` : "due";
    if (each.textContent !== text) each.textContent = text;
  }
  for (const each of document.querySelectorAll("time[data-age]")) {
    const seconds = Math.max(0, (Date.now() + ahead - Date.parse(each.dateTime)) / 1000);
    const [size, unit] = UNITS.find(([size]) => seconds >= 2 * size) || [1, "s"];
    const text = `${Math.floor(seconds / size)} ${unit}`;
    if (each.textContent !== text) each.textContent = text;
  }
}

function touch(event) {
  const form = event.target.closest("[data-keep]");
  if (form) touched.add(form);
}

function leave(event) {
  const form = event.target.closest("[data-keep]");
  if (form) touched.delete(form);
}

document.addEventListener("input", touch);
document.addEventListener("submit", leave);
document.addEventListener("reset", leave);
document.addEventListener("visibilitychange", soon);
setInterval(age, 1000);
listen(
  live.dataset.events,
  (kind, data) => { if (kind === "change" && concerns(JSON.parse(data))) soon(); },
  (now) => {
    if (now !== isLive) soon();
    isLive = now;
  },
);
timer = setTimeout(look, POLL_MS);
