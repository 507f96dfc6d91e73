// Asks somebody before something is done, and tells what came of it. Nothing else.

const SHOWN_MS = 8000;
const said = document.getElementById("said");

export function tell(text, kind) {
  said.textContent = text;
  said.className = `notice ${kind}`;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => { said.textContent = ""; said.className = ""; }, SHOWN_MS);
}

// Whether somebody says yes, or types the value that is asked for.
export function agrees({ ask, value }) {
  if (!ask) return true;
  return value === undefined ? confirm(ask) : prompt(ask) === value;
}

export function wordsOf(error) {
  const text = [error.message, error.hint].filter(Boolean).join("; ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// How many of those that matched were sent again, or would be, and why others were not.
export function sentOf({ matched, sent, left_out: left, after }, word) {
  const others = Object.entries(left).map(([why, count]) => `${count} ${why}`);
  const rest = after ? "; there are more: do it again" : "";
  return `${sent} of ${matched} ${word}${others.length ? ` (${others.join(", ")})` : ""}${rest}.`;
}

// What an answer says of a change that was stored.
export function outcomeOf(word, value) {
  const names = value.restarting || [];
  if (value.data?.left_out) return sentOf(value.data, "were sent again");
  if (value.data?.task?.retry_of) return `${word}: sent as ${value.data.task.id}.`;
  if (value.data?.task?.state) return `${word}: workers were told.`;
  if (value.reason) return `${word}: stored. ${value.reason}`;
  if (value.purged !== undefined) return `${word}: ${value.purged} dropped.`;
  if (value.uuids) return `${word}: queued as ${value.uuids.join(", ")}.`;
  if (names.length) return `${word}: stored; restarting ${names.join(", ")}.`;
  return `${word}: stored.`;
}
