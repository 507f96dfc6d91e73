// Tells each cell what its column is: where rows are shown as cards there is no head. Nothing else.

const main = document.getElementById("main");

function label() {
  for (const table of main.querySelectorAll(".wide table")) {
    const heads = [...table.querySelectorAll("thead th")].map((each) => each.textContent.trim());
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, column) => {
        const head = heads[column] || "";
        if ((cell.dataset.label || "") !== head) cell.dataset.label = head;
      });
    }
  }
}

label();
new MutationObserver(label).observe(main, { childList: true, subtree: true, attributeFilter: ["data-label"] });
