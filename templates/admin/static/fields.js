// Makes a request of what is typed in a form. Nothing else.

const MASK = "********";

const READERS = {
  text: (text) => text,
  flag: (text) => text === "1",
  whole(text) {
    if (!/^[+-]?\d+$/.test(text)) throw new Error("a whole number is needed");
    return Number(text);
  },
  moment: (text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : text),
  words(text) {
    if (text.startsWith("[")) return READERS.json(text);
    return text.split(/[\n,]/).map((each) => each.trim()).filter(Boolean);
  },
  table: (text) => (text.startsWith("{") ? READERS.json(text) : text),
  json(text) {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Error(`this is no JSON: ${error.message}`);
    }
  },
};

// What can be typed or chosen, in the order of the page.
export function controls(form) {
  return [...form.elements].filter((each) => each.name && each.type !== "submit");
}

function before(control) {
  if (control.options) {
    const chosen = [...control.options].find((each) => each.defaultSelected);
    return (chosen || control.options[0] || { value: "" }).value;
  }
  return control.defaultValue;
}

function isSent(control, isEdit) {
  if (control.type === "checkbox") return control.checked;
  return isEdit ? control.value !== before(control) : control.value.trim() !== "";
}

function valueOf(control) {
  if (control.type === "checkbox") return true;
  // A secret is what it is, with its blanks.
  const text = control.type === "password" ? control.value : control.value.trim();
  // Emptied it goes back to its default.
  return text === "" ? "" : READERS[control.dataset.kind || "text"](text);
}

function masked(value) {
  if (value === "") return value;
  if (typeof value !== "string") {
    return Object.fromEntries(Object.keys(value).map((name) => [name, MASK]));
  }
  // Up to the last @: one in a password should have been encoded, and perhaps was not.
  return value.includes("://") ? value.replace(/(:\/\/[^:/?#]*):.*@/s, `$1:${MASK}@`) : MASK;
}

function filled(path, form, used) {
  return path.replace(/\{(\w+)\}(\/?)/g, (whole, name, slash) => {
    const control = form.elements[name];
    if (!control) return whole;
    used.add(name);
    const value = control.value.trim();
    return value && encodeURIComponent(value).replace(/!/g, "%21") + slash;
  });
}

// The request that a form stands for. `shown` is its body without secrets, and
// `wrong` says of each control that cannot be read why.
export function read(form) {
  const used = new Set();
  const path = filled(form.dataset.path, form, used);
  const [body, shown, wrong] = [{}, {}, new Map()];
  for (const control of controls(form)) {
    if (used.has(control.name) || !isSent(control, "edit" in form.dataset)) continue;
    try {
      const value = valueOf(control);
      body[control.name] = value;
      shown[control.name] = "secret" in control.dataset ? masked(value) : value;
    } catch (error) {
      wrong.set(control, error.message);
    }
  }
  return { method: form.dataset.method, path, body, shown, wrong };
}

// What is typed now is what is stored.
export function settle(form) {
  for (const control of controls(form)) {
    if (control.options) {
      for (const each of control.options) each.defaultSelected = each.selected;
    } else if (control.type === "checkbox") control.defaultChecked = control.checked;
    else control.defaultValue = control.value;
  }
}
