// Asks a worker what it does, and shows that. Nothing else.

const EVERY_MS = 10000;
let last = null;

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function row(...cells) {
  const made = document.createElement("tr");
  made.append(...cells.map((text) => element("td", text)));
  return made;
}

function since(at) {
  if (!at) return "";
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(at)) / 1000));
  return seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
}

function showTasks(section, told) {
  const tasks = told.body?.data?.tasks;
  section.querySelector(".tasks").replaceChildren(...(tasks || []).map((each) => row(each.name, each.id, since(each.started_at))));
  section.querySelector(".tasks").closest(".wide").hidden = !tasks?.length;
  section.querySelector(".idle").textContent = told.trouble || (tasks?.length ? "" : "None: it is idle.");
}

function facts(stats) {
  const pool = stats.pool || {};
  const usage = stats.rusage || {};
  return [
    ["Pool", [pool.implementation, pool["max-concurrency"] && `${pool["max-concurrency"]} at most`].filter(Boolean).join(", ")],
    ["Processes", Array.isArray(pool.processes) ? `${pool.processes.length}: ${pool.processes.join(" ")}` : ""],
    ["Takes at once", stats.prefetch_count === undefined ? "" : stats.prefetch_count || "any number"],
    ["Up for", stats.uptime === undefined ? "" : `${Math.round(stats.uptime / 60)} min`],
    ["Processor time", usage.utime === undefined ? "" : `${(usage.utime + usage.stime).toFixed(1)} s`],
    ["Memory, at most", usage.maxrss ? `${Math.round(usage.maxrss / 1024)} MiB` : ""],
    ...Object.entries(stats.total || {}).map(([name, count]) => [`Begun: ${name}`, String(count)]),
  ].filter(([, text]) => text !== "");
}

function showStats(section, told) {
  const list = section.querySelector(".stats");
  const pairs = told.body && !told.trouble ? facts(told.body) : [];
  list.replaceChildren(...pairs.flatMap(([name, text]) => [element("dt", name), element("dd", text)]));
  section.querySelector(".silent").textContent = told.trouble;
}

async function told(path) {
  try {
    const answer = await fetch(`${path}?timeout=1`, { headers: { Accept: "application/json" } });
    const body = await answer.json();
    return { body, trouble: answer.ok ? "" : body.error.message };
  } catch {
    return { body: null, trouble: "no connection" };
  }
}

function show(section) {
  if (!last || last.place !== section.dataset.place) return;
  showTasks(section, last.tasks);
  showStats(section, last.stats);
}

async function ask() {
  const section = document.querySelector(".running[data-place]");
  if (!section || document.hidden) return;
  const { place } = section.dataset;
  const [tasks, stats] = await Promise.all([told(`${place}tasks/`), told(`${place}stats/`)]);
  last = { place, tasks, stats };
  const now = document.querySelector(".running[data-place]");
  if (now) show(now);
}

// A fresh page may have brought an empty element for what is known already.
function look() {
  const section = document.querySelector(".running[data-place]:not([data-is-seen])");
  if (!section) return;
  section.dataset.isSeen = "1";
  show(section);
}

new MutationObserver(look).observe(document.getElementById("main"), { childList: true, subtree: true });
setInterval(ask, EVERY_MS);
ask();
