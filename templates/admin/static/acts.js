// Sends what the buttons say. Nothing else.

import { forEach } from "./bulk.js";
import { send } from "./request.js";
import { agrees, outcomeOf, tell, wordsOf } from "./telling.js";

async function act(button) {
  const { method, path } = button.dataset;
  const word = button.textContent;
  if (button.hasAttribute("data-each")) return forEach(word, method, path);
  if (!agrees(button.dataset)) return;
  button.disabled = true;
  const answer = await send(method, path);
  if (answer.ok) tell(outcomeOf(word, answer.value), "well");
  else tell(wordsOf(answer.error), "ill");
  button.disabled = false;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-path]");
  if (button) act(button);
});
