// Sends what the buttons say, and tells what came of it. Nothing else.

// Of who signed in: what shows that a change comes from this page, and from no other site's.
const token = document.querySelector('meta[name="csrf-token"]');
const headers = token ? { "X-CSRF-Token": token.content } : {};
const said = document.getElementById("said");

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
    const answer = await fetch(button.dataset.path, { method: button.dataset.method, headers });
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
