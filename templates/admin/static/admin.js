// Keeps a page as it is now, and sends what its buttons say. Nothing else.
"use strict";

const EVERY_MS = 1000;
const SLOWEST_MS = 15000;
const live = document.getElementById("live");
const said = document.getElementById("said");
let pause = EVERY_MS;

// Whoever reads a selection, types, or answers a question is not interrupted.
function isBusy() {
  const focused = document.activeElement;
  const isTyping = focused && /^(INPUT|SELECT|TEXTAREA)$/.test(focused.tagName);
  return isTyping || document.hidden || String(getSelection()) !== "";
}

function place(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("main");
  const main = document.getElementById("main");
  if (!fresh || fresh.innerHTML === main.dataset.shown) return;
  const focused = document.activeElement;
  const path = focused && focused.dataset ? focused.dataset.path : null;
  const scrolled = [...main.querySelectorAll(".wide, pre")].map((each) => [each.scrollLeft, each.scrollTop]);
  main.innerHTML = fresh.innerHTML;
  main.dataset.shown = fresh.innerHTML;
  main.querySelectorAll(".wide, pre").forEach((each, number) => {
    if (scrolled[number]) [each.scrollLeft, each.scrollTop] = scrolled[number];
  });
  if (path) {
    const same = [...main.querySelectorAll("button")].find((each) => each.dataset.path === path);
    if (same) same.focus();
  }
}

async function look() {
  try {
    if (!isBusy()) {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.ok) place(await answer.text());
      live.textContent = answer.ok ? "live" : `not live: ${answer.status}`;
      live.className = answer.ok ? "well" : "ill";
      pause = answer.ok ? EVERY_MS : Math.min(2 * pause, SLOWEST_MS);
    }
  } catch {
    live.textContent = "not live: no connection";
    live.className = "ill";
    pause = Math.min(2 * pause, SLOWEST_MS);
  }
  setTimeout(look, pause);
}

function tell(text, kind) {
  said.textContent = text;
  said.className = `notice ${kind}`;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => { said.textContent = ""; said.className = ""; }, 8000);
}

function agrees(button) {
  const { ask, value } = button.dataset;
  if (!ask) return true;
  return value === undefined ? confirm(ask) : prompt(ask) === value;
}

async function act(button) {
  if (!agrees(button)) return;
  button.disabled = true;
  try {
    const answer = await fetch(button.dataset.path, { method: button.dataset.method });
    const body = await answer.json().catch(() => ({}));
    if (answer.ok) {
      tell(body.reason ? `Stored. ${body.reason}` : `${button.textContent}: stored.`, "well");
    } else {
      const error = body.error || { message: `it answers ${answer.status}` };
      tell([error.message, error.hint].filter(Boolean).join("; "), "ill");
    }
  } catch {
    tell("No connection: nothing is known to be done.", "ill");
  }
  button.disabled = false;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-path]");
  if (button) act(button);
});
document.addEventListener("visibilitychange", () => { pause = EVERY_MS; });
setTimeout(look, EVERY_MS);
