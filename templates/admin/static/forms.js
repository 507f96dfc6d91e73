// Sends what the forms say, and shows the same as a line for a shell. Nothing else.

import { forEach } from "./bulk.js";
import { controls, read, settle } from "./fields.js";
import { showOnce } from "./once.js";
import { linesOf } from "./plans.js";
import { send } from "./request.js";
import { agrees, outcomeOf, tell, wordsOf } from "./telling.js";

function quoted(text) {
  return `'${text.replace(/'/g, "'\\''")}'`;
}

function bodyOf(form, fields) {
  if ("list" in form.dataset) return [fields];
  return Object.keys(fields).length ? fields : undefined;
}

function showCurl(form) {
  const line = form.querySelector("[data-curl]");
  if (!line) return;
  const { method, path, shown, wrong } = read(form);
  const body = bodyOf(form, shown);
  const data = body && ` -H 'Content-Type: application/json' -d ${quoted(JSON.stringify(body))}`;
  const at = location.origin + path;
  line.textContent = wrong.size ? "" : `curl -X ${method} ${quoted(at)}${data || ""}`;
}

// What is wrong, at the control that it is about, or else at the end of the form.
function complain(form, wrong, text = "") {
  for (const each of form.querySelectorAll(".wrong")) each.remove();
  for (const control of controls(form)) {
    control.removeAttribute("aria-invalid");
    if (wrong.has(control)) mark(control, wrong.get(control));
  }
  say(form, text ? [text] : [], "ill");
  const first = wrong.keys().next().value;
  if (first) first.focus();
}

function mark(control, text) {
  const note = document.createElement("small");
  note.className = "wrong ill";
  note.textContent = text;
  note.setAttribute("role", "alert");
  control.setAttribute("aria-invalid", "true");
  control.after(note);
}

function say(form, lines, kind) {
  const place = form.querySelector("[data-said]");
  place.className = lines.length ? `notice ${kind}` : "";
  place.replaceChildren(...lines.map((line) => {
    const one = document.createElement("div");
    one.textContent = line;
    return one;
  }));
}

// Errors of the interface begin with the name of the parameter, where they are about one.
function refuse(form, error) {
  const [, name] = /^(\w+): /.exec(error.message) || [];
  const control = controls(form).find((each) => each.name === name);
  const text = wordsOf(error);
  if (control) complain(form, new Map([[control, text]]));
  else complain(form, new Map(), text);
}

function succeed(form, word, value) {
  const { then, once, edit } = form.dataset;
  complain(form, new Map());
  if (once) showOnce(value[once], form);
  else tell(outcomeOf(word, value), "well");
  if (then) {
    const names = { ...Object.fromEntries(new FormData(form)), ...value };
    location.assign(then.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(names[name])));
    return;
  }
  if (edit !== undefined) settle(form);
  form.reset();
  showCurl(form);
}

// What was typed stays over a refresh, until it is stored.
function hold(form) {
  form.dispatchEvent(new Event("input", { bubbles: true }));
}

async function submit(form, button) {
  hold(form);
  const isTrial = button !== null && button.name === "dry_run";
  const { method, path, body, wrong } = read(form);
  complain(form, wrong);
  if (wrong.size) return;
  if (isTrial) body.dry_run = true;
  else if ("edit" in form.dataset && !Object.keys(body).length) {
    say(form, ["Nothing is changed."], "unknown");
    return;
  }
  const word = (button || form.querySelector("button")).textContent;
  if ("each" in form.dataset) {
    forEach(word, method, path, bodyOf(form, body));
    return;
  }
  if (!isTrial && !agrees(form.dataset)) return;
  form.setAttribute("aria-busy", "true");
  const answer = await send(method, path, bodyOf(form, body));
  form.removeAttribute("aria-busy");
  if (!answer.ok) refuse(form, answer.error);
  else if (isTrial) say(form, linesOf(answer.value), "changing");
  else succeed(form, word, answer.value);
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-path]");
  if (!form) return;
  event.preventDefault();
  if (!form.hasAttribute("aria-busy")) submit(form, event.submitter);
});

for (const kind of ["input", "change", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const form = event.target.closest("form[data-path]");
    if (form) showCurl(form);
  });
}

function showCurls(within) {
  for (const form of within.querySelectorAll("form[data-path]")) showCurl(form);
}

// Opened forms show their line before anything is typed; the event does not bubble.
document.addEventListener("toggle", (event) => showCurls(event.target), true);
showCurls(document);
