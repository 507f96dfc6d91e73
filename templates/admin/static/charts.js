// Draws what was measured, as the interface tells it. Nothing else.

const EVERY_MS = 30000;
const HEIGHT = 170;
const KINDS = {
  depth: { title: "Messages that wait", unit: "messages", lines: [["depth", "waiting", "changing"]], show: count },
  oldest_s: { title: "Oldest message, at least", unit: "waited", lines: [["oldest_s", "waited", "unknown"]], show: span, incrs: [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 604800] },
  per_s: { title: "Throughput", unit: "tasks a second", lines: [["per_s", "begun a second", "well"]], show: count },
  processes: {
    title: "Concurrency",
    unit: "tasks and processes",
    lines: [["running", "tasks running", "well"], ["processes", "processes", "changing"], ["most", "processes allowed", "off", [4, 4]]],
    show: count,
  },
  took_s: { title: "How long its runs took", unit: "took", lines: [["took_s", "well", "well"], ["ill_s", "otherwise", "ill"]], show: span, isDotted: true },
};

// By what is asked for: it outlives the elements, which a fresh page may replace.
const known = new Map();
const plots = new Map();
const hourAndMinute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "long" });

function count(value) {
  if (value === null || value === undefined) return "not known";
  return new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4, notation: value >= 100000 ? "compact" : "standard" }).format(value);
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return "not known";
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.round((10 * seconds) / size) / 10} ${unit}`;
  }
  return `${Math.round(seconds)} s`;
}

function stateOf(section) {
  const key = section.dataset.samples;
  if (!known.has(key)) known.set(key, { hours: 1, data: null, trouble: "", isAsking: false });
  return known.get(key);
}

// A canvas knows no variables: the colour that an element of that class has.
function inkOf(section, name) {
  const probe = section.appendChild(document.createElement("span"));
  probe.className = name;
  const ink = getComputedStyle(probe).color;
  probe.remove();
  return ink;
}

function within(state) {
  // Of runs all that there are, with a little room.
  if (state.isWhole) return state.data ? [state.data.at[0] - 30, state.data.at.at(-1) + 30] : [0, 1];
  const to = Date.now() / 1000;
  return [to - 3600 * state.hours, to];
}

// Where no pointer is, the newest.
function shownBy(kind) {
  return (plot, value, line, index) => kind.show(index === null ? last(plot.data[line]) : value);
}

function whenLast(plot) {
  const at = last(plot.data[0]);
  return at ? whole.format(1000 * at) : "";
}

function optionsOf(section, kind, width) {
  const quiet = inkOf(section, "off");
  const grid = { stroke: quiet, width: 0.2 };
  const axis = { stroke: quiet, grid, ticks: grid, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif" };
  return {
    width,
    height: HEIGHT,
    scales: {
      x: { time: true, range: () => within(stateOf(section)) },
      y: { range: (_, __, most) => [0, most > 0 ? 1.1 * most : 1] },
    },
    axes: [
      { ...axis, space: 60, values: (_, ats) => ats.map((at) => hourAndMinute.format(1000 * at)) },
      { ...axis, incrs: kind.incrs, label: kind.unit, labelSize: 18, size: 62, values: (_, values) => values.map(kind.show) },
    ],
    series: [
      { label: "at", value: (plot, at, _, index) => (index === null ? whenLast(plot) : whole.format(1000 * at)) },
      ...kind.lines.map(([, label, name, dash]) => ({ label, stroke: inkOf(section, name), width: 1.5, dash, points: { show: kind.isDotted ?? false, size: 6 }, value: shownBy(kind) })),
    ],
    cursor: { drag: { x: false, y: false } },
  };
}

function kindsOf(section) {
  return section.dataset.kinds.split(" ").map((name) => [name, KINDS[name]]);
}

function last(values) {
  return values.findLast((value) => value !== null);
}

function caption(figure, kind, data, state) {
  const values = data[kind.lines[0][0]].filter((value, number) => value !== null && data.at[number] >= within(state)[0]);
  const told = values.length ? `now ${kind.show(last(values))}, at most ${kind.show(Math.max(...values))}` : "not known";
  const name = document.createElement("strong");
  name.textContent = kind.title;
  figure.querySelector("figcaption").replaceChildren(name, ` ${told}`);
  const which = state.isWhole ? `the last ${data.at.length}` : `over the last ${state.hours} h`;
  figure.lastElementChild.setAttribute("aria-label", `${kind.title}, ${which}: ${told}`);
}

function frame(place) {
  const figure = place.appendChild(document.createElement("figure"));
  figure.appendChild(document.createElement("figcaption"));
  figure.appendChild(document.createElement("div")).setAttribute("role", "img");
  return figure;
}

// Plots listen to the window: those of elements that are gone have to be told.
function drop(section) {
  (plots.get(section) || []).forEach((plot) => plot.destroy());
  plots.delete(section);
}

function build(section) {
  const place = section.querySelector(".plots");
  place.replaceChildren();
  const made = kindsOf(section).map(([, kind]) => {
    const figure = frame(place);
    const lines = [[], ...kind.lines.map(() => [])];
    return new uPlot(optionsOf(section, kind, figure.clientWidth - 16), lines, figure.lastElementChild);
  });
  plots.set(section, made);
  new ResizeObserver(() => made.forEach((plot) => {
    const width = plot.root.closest("figure")?.clientWidth - 16;
    if (plots.get(section) === made && width > 0 && width !== plot.width) plot.setSize({ width, height: HEIGHT });
  })).observe(place);
}

function show(section) {
  const state = stateOf(section);
  const none = section.querySelector(".none");
  section.querySelectorAll("[data-hours]").forEach((button) => {
    button.setAttribute("aria-pressed", String(Number(button.dataset.hours) === state.hours));
  });
  none.dataset.empty ||= none.textContent;
  none.textContent = state.trouble ? `Not to be had: ${state.trouble}` : none.dataset.empty;
  none.hidden = !state.trouble && (!state.data || state.data.at.length > 0);
  if (!state.data || !state.data.at.length) return;
  if (!plots.has(section)) build(section);
  kindsOf(section).forEach(([, kind], number) => {
    const plot = plots.get(section)[number];
    plot.setData([state.data.at, ...kind.lines.map(([column]) => state.data[column])]);
    caption(plot.root.closest("figure"), kind, state.data, state);
  });
}

// How long each took, from the first to the last.
function ofRuns(runs) {
  const ended = runs.filter((run) => run.started_at && run.finished_at).reverse();
  const took = (run) => (Date.parse(run.finished_at) - Date.parse(run.started_at)) / 1000;
  const those = (isWell) => ended.map((run) => ((run.status === "succeeded") === isWell ? took(run) : null));
  return { at: ended.map((run) => Date.parse(run.fire_at) / 1000), took_s: those(true), ill_s: those(false) };
}

async function ask(section) {
  const state = stateOf(section);
  state.isWhole = section.hasAttribute("data-whole");
  if (state.isAsking || document.hidden) return;
  state.isAsking = true;
  try {
    const answer = await fetch(section.dataset.samples, { headers: { Accept: "application/json" } });
    const body = await answer.json();
    state.trouble = answer.ok ? "" : body.error.message;
    if (answer.ok) state.data = body.data.runs ? ofRuns(body.data.runs) : body.data;
  } catch {
    state.trouble = "no connection";
  }
  state.isAsking = false;
  if (section.isConnected) show(section);
}

const all = () => document.querySelectorAll(".charts[data-samples]");

// A fresh page may have brought new elements for what is known already.
function look() {
  [...plots.keys()].filter((section) => !section.isConnected).forEach(drop);
  all().forEach((section) => {
    if (section.dataset.isSeen) return;
    section.dataset.isSeen = "1";
    show(section);
    if (!stateOf(section).data) ask(section);
  });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest(".charts [data-hours]");
  if (!button) return;
  const section = button.closest(".charts");
  stateOf(section).hours = Number(button.dataset.hours);
  show(section);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => all().forEach((section) => {
  drop(section);
  show(section);
}));
document.addEventListener("visibilitychange", () => all().forEach(ask));
new MutationObserver(look).observe(document.getElementById("main"), { childList: true, subtree: true });
setInterval(() => all().forEach(ask), EVERY_MS);
look();
