// Sends what the buttons say. Nothing else.

import { forEach } from "./bulk.js";
import { send } from "./request.js";
import { agrees, outcomeOf, tell, wordsOf } from "./telling.js";

// One that is disabled would lose the keyboard.
const busy = new WeakSet();

async function act(button) {
  if (busy.has(button)) return;
  const { method, path } = button.dataset;
  const word = button.textContent;
  if (button.hasAttribute("data-each")) return forEach(word, method, path);
  if (!agrees(button.dataset)) return;
  busy.add(button);
  button.setAttribute("aria-busy", "true");
  const answer = await send(method, path);
  if (answer.ok) tell(outcomeOf(word, answer.value), "well");
  else tell(wordsOf(answer.error), "ill");
  busy.delete(button);
  button.removeAttribute("aria-busy");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-path]");
  if (button) act(button);
});
