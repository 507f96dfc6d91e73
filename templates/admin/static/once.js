// Shows a secret until somebody has it; it is never part of the page's HTML. Nothing else.

function button(word, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = word;
  made.addEventListener("click", act);
  return made;
}

export function showOnce(secret, form) {
  const box = document.createElement("section");
  const words = document.createElement("p");
  const field = document.createElement("input");
  box.className = "notice well once";
  box.setAttribute("role", "alert");
  box.toggleAttribute("data-own", true);
  words.textContent = "Copy it now: it is shown this once, and nobody can look it up later.";
  field.readOnly = true;
  field.setAttribute("aria-label", "The token");
  field.addEventListener("focus", () => field.select());
  const copy = button("Copy", async () => {
    field.select();
    // Browsers have a clipboard for pages that came by https or from this host.
    const isCopied = navigator.clipboard
      ? await navigator.clipboard.writeText(secret).then(() => true, () => false)
      : document.execCommand("copy");
    copy.textContent = isCopied ? "Copied" : "Copy it by hand";
  });
  box.append(words, field, copy, button("I have it", () => box.remove()));
  form.after(box);
  // A property: what is an attribute would be in the HTML.
  field.value = secret;
  field.focus();
}
