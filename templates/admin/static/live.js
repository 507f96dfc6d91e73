// Keeps a page as it is now. Nothing else.

const EVERY_MS = 1000;
const SLOWEST_MS = 15000;
const live = document.getElementById("live");
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
      // Not signed in any more: the page itself is sent where that is done.
      if (answer.status === 401) location.reload();
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

document.addEventListener("visibilitychange", () => { pause = EVERY_MS; });
setTimeout(look, EVERY_MS);
