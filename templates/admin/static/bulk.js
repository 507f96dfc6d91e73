// Sends one request for each instance that the filter shows. Nothing else.

import { send } from "./request.js";
import { tell, wordsOf } from "./telling.js";

const AT_ONCE = 4;
const NAMED = 5;
// As many are not done by a slip of the hand.
const MANY = 10;

async function matching() {
  const root = document.querySelector("[data-matching]").dataset.matching;
  const answer = await send("GET", root + location.search);
  if (!answer.ok) tell(wordsOf(answer.error), "ill");
  return answer.ok ? answer.value : [];
}

function agrees(word, found) {
  const first = found.slice(0, NAMED).map((each) => each.name).join(", ");
  const rest = found.length > NAMED ? ` and ${found.length - NAMED} more` : "";
  const noun = found.length === 1 ? "instance" : "instances";
  const question = `${word} ${found.length} ${noun}: ${first}${rest}?`;
  if (found.length <= MANY) return confirm(question);
  return prompt(`${question} Type how many these are:`) === String(found.length);
}

function leaving(event) {
  event.preventDefault();
}

// Where the round stands; outside of what is shown anew all the time.
function panel() {
  const box = document.createElement("section");
  box.className = "notice changing round";
  box.setAttribute("role", "status");
  const [line, bar, errors, end] = ["p", "progress", "ul", "button"].map((tag) => document.createElement(tag));
  end.type = "button";
  box.append(line, bar, errors, end);
  document.body.append(box);
  return { box, line, bar, errors, end };
}

function show(shown, round) {
  const { word, found, done, failed } = round;
  const left = found.length - done - failed.length;
  const isOver = round.isEnded || !left;
  shown.bar.max = found.length;
  shown.bar.value = done + failed.length;
  shown.end.textContent = isOver ? "Close" : "Stop";
  const rest = isOver ? (left ? `, ${left} left as they were` : "") : `, ${left} to go; leaving the page stops it`;
  shown.line.textContent = `${word}: ${done} done, ${failed.length} failed${rest}.`;
  if (!isOver) return;
  shown.box.className = `notice round ${failed.length ? "ill" : left ? "unknown" : "well"}`;
  shown.errors.replaceChildren(...failed.map((text) => {
    const one = document.createElement("li");
    one.textContent = text;
    return one;
  }));
}

async function work(round, shown) {
  while (round.next < round.found.length && !round.isEnded) {
    const one = round.found[round.next++];
    const path = round.path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(one[name]));
    const answer = await send(round.method, path, round.body);
    if (answer.ok) round.done += 1;
    else round.failed.push(`${one.name}: ${wordsOf(answer.error)}`);
    show(shown, round);
  }
}

export async function forEach(word, method, path, body) {
  const found = await matching();
  if (!found.length || !agrees(word, found)) return;
  const round = { word, method, path, body, found, next: 0, done: 0, failed: [], isEnded: false };
  const shown = panel();
  shown.end.addEventListener("click", () => {
    if (shown.end.textContent === "Close") shown.box.remove();
    round.isEnded = true;
  });
  addEventListener("beforeunload", leaving);
  show(shown, round);
  await Promise.all(Array.from({ length: AT_ONCE }, () => work(round, shown)));
  round.isEnded = true;
  show(shown, round);
  removeEventListener("beforeunload", leaving);
}
