// Reads server-sent events, and comes back when they end. Nothing else.
//
// Not by EventSource: that does not say why it was refused, nor for how long.

const RETRY_MS = 1000;
const SLOWEST_MS = 30000;

// Calls hear(kind, data) for each event, and turn(isLive, status) when it begins to
// hear or no longer does: with the status it was refused with, 0 without a connection.
export function listen(url, hear, turn) {
  let pause = RETRY_MS;
  let lastId = "";
  let control = null;
  let timer = 0;

  function take(text) {
    let kind = "message";
    const data = [];
    for (const line of text.split("\n")) {
      const [name, value] = [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1).replace(/^ /, "")];
      if (name === "event") kind = value;
      if (name === "data") data.push(value);
      if (name === "id") lastId = value;
    }
    if (data.length) hear(kind, data.join("\n"));
  }

  async function read(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (text + value).split("\n\n");
      text = events.pop();
      events.forEach(take);
    }
  }

  async function open(signal) {
    const headers = { Accept: "text/event-stream" };
    if (lastId) headers["Last-Event-ID"] = lastId;
    const answer = await fetch(url, { headers, cache: "no-store", signal });
    const kind = answer.headers.get("Content-Type") || "";
    if (!answer.ok || !kind.startsWith("text/event-stream")) return answer;
    turn(true, answer.status);
    pause = RETRY_MS;
    await read(answer.body);
    return null;
  }

  async function run() {
    const own = control = new AbortController();
    let wait = RETRY_MS;
    try {
      const refused = await open(own.signal);
      if (refused) {
        wait = Math.max(pause, 1000 * (Number(refused.headers.get("Retry-After")) || 0));
        pause = Math.min(2 * pause, SLOWEST_MS);
        turn(false, refused.status);
        // It will not be answered otherwise the next time.
        if ([204, 404, 501].includes(refused.status)) return;
      }
    } catch {
      if (own.signal.aborted) return;
      wait = pause;
      pause = Math.min(2 * pause, SLOWEST_MS);
      turn(false, 0);
    }
    // Those whom one process has left do not all come at once.
    timer = setTimeout(run, wait * (0.75 + Math.random() / 2));
  }

  function stop() {
    clearTimeout(timer);
    if (control) control.abort();
  }

  // A browser has few connections to a server, and a page in the background needs none.
  document.addEventListener("visibilitychange", () => {
    stop();
    if (!document.hidden) run();
  });
  addEventListener("pagehide", stop);
  if (!document.hidden) run();
}
