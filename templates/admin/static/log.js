// Goes on with a log that is shown. Nothing else.

import { listen } from "./stream.js";

const POLL_MS = 2000;
const MOST = 256 * 1024;
const shown = document.querySelector("pre[data-follow]");

// At its end it stays there; whoever has scrolled up is left where they are.
function change(act) {
  const isAtEnd = shown.scrollHeight - shown.scrollTop - shown.clientHeight < 8;
  act();
  if (isAtEnd) shown.scrollTop = shown.scrollHeight;
}

function add(text) {
  shown.append(`${text}\n`);
  let length = shown.textContent.length;
  while (length > MOST && shown.childNodes.length > 1) {
    length -= shown.firstChild.textContent.length;
    shown.firstChild.remove();
  }
}

function replace(text) {
  if (shown.textContent !== text) shown.textContent = text;
}

async function poll() {
  if (!document.hidden && String(getSelection()) === "") {
    const answer = await fetch(shown.dataset.end, { cache: "no-store" }).catch(() => null);
    if (answer && answer.ok) {
      const text = await answer.text();
      change(() => replace(text));
    }
  }
  setTimeout(poll, POLL_MS);
}

if (shown) {
  shown.scrollTop = shown.scrollHeight;
  listen(
    shown.dataset.follow,
    (kind, data) => change(() => {
      if (kind === "tail") replace(data && `${data}\n`);
      else if (kind === "more") add(data);
    }),
    // Another branch has it, whose log nobody can follow through this one.
    (isLive, status) => { if (status === 501) poll(); },
  );
}
