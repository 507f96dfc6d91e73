// Sends a request of the interface; every change goes through here. Nothing else.

// A browser takes "." and ".." out of a path, and would ask for another thing.
function isWhole(path) {
  const sent = new URL(path, location.href).pathname;
  return sent.split("/").length === path.split("?")[0].split("/").length;
}

function headers(body) {
  const token = document.querySelector('meta[name="csrf-token"]');
  return {
    Accept: "application/json",
    ...(token && { "X-CSRF-Token": token.content }),
    ...(body !== undefined && { "Content-Type": "application/json" }),
  };
}

// What came of it: {ok, status, value}, and of one that failed its error {message, hint}.
export async function send(method, path, body) {
  if (!isWhole(path)) {
    return failed(0, { message: "a browser cannot ask for a name of dots", hint: "use curl --path-as-is" });
  }
  try {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const answer = await fetch(path, { method, headers: headers(body), body: text });
    const value = await answer.json().catch(() => ({}));
    if (answer.ok) return { ok: true, status: answer.status, value };
    return failed(answer.status, value.error || { message: `it answers ${answer.status}` });
  } catch {
    return failed(0, { message: "no connection: nothing is known to be done" });
  }
}

function failed(status, error) {
  return { ok: false, status, value: {}, error };
}
