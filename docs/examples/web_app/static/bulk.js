// Runs a bulk and shows it as it happens. What comes from the server is set as text, never as HTML.

const byId = (id) => document.getElementById(id);
let running = null; // the AbortController of the bulk under way

byId("bulk").addEventListener("submit", (event) => {
  event.preventDefault();
  run(byId("call-ids").value.split(/[\s,;]+/).filter(Boolean));
});
byId("stop").addEventListener("click", () => running.abort());
// A page that is left may be kept for the way back, and its requests with it.
addEventListener("pagehide", () => running?.abort());

async function run(callIds) {
  running = new AbortController();
  begin(callIds.length);
  try {
    await follow(callIds, running.signal);
  } catch (error) {
    say(running.signal.aborted ? "Stopped." : `The connection to this application was lost. ${error.message}`);
  }
  byId("fetch").disabled = false;
  if (document.activeElement === byId("stop")) byId("fetch").focus(); // a button that is disabled drops the focus
  byId("stop").disabled = true;
}

// fetch() and not EventSource: that one connects again by itself, and would begin the bulk anew.
async function follow(callIds, signal) {
  const answer = await fetch("/api/bulk", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ call_ids: callIds }),
    signal,
  });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => null); // a proxy in front answers in words of its own
    return say(problem?.detail ?? `The server answered with the status ${answer.status}.`);
  }
  for await (const { name, data } of serverSentEvents(answer.body)) {
    if (name === "result") show(data);
    if (name === "end") return say("All done.");
    if (name === "problem") return say(data.detail);
  }
  say("The connection to this application was lost.");
}

async function* serverSentEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (text + value).split(/\r?\n\r?\n/);
    text = events.pop(); // the beginning of the next one
    for (const event of events) {
      const lines = event.split(/\r?\n/); // JSON is on one of them
      const valueOf = (field) => lines.find((line) => line.startsWith(field))?.slice(field.length);
      const data = valueOf("data: ");
      if (data) yield { name: valueOf("event: "), data: JSON.parse(data) };
    }
  }
}

function begin(total) {
  byId("run").hidden = false;
  byId("fetch").disabled = true;
  byId("stop").disabled = false;
  byId("failed-calls").replaceChildren();
  byId("fetched-calls").replaceChildren();
  say("Fetching.");
  count({ done: 0, failed: 0, total });
}

function show(result) {
  count(result);
  const row = document.createElement("tr");
  const call = result.call;
  if (call) {
    const link = document.createElement("a");
    link.href = `/calls/${encodeURIComponent(result.call_id)}`;
    link.textContent = result.call_id;
    const when = call.created_at ? new Date(call.created_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "";
    row.append(cell(link), cell(when), cell(clock(call.duration)), cell(call.summary ?? ""));
  } else {
    const problem = cell(result.problem.detail);
    problem.colSpan = 3;
    row.append(cell(result.call_id), problem);
  }
  byId(call ? "fetched-calls" : "failed-calls").append(row);
}

function cell(content) {
  const td = document.createElement("td");
  td.append(content); // a string becomes a text node
  return td;
}

function clock(seconds) {
  if (seconds === null) return "";
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function count({ done, failed, total }) {
  byId("progress").max = total;
  byId("progress").value = done;
  byId("done").textContent = done;
  byId("total").textContent = total;
  byId("failed").textContent = failed;
  const quarters = Math.floor((4 * done) / total);
  if (quarters) say(`Fetching: ${25 * quarters} % done.`);
}

// What is said is read out by screen readers, so the same is not said twice.
function say(text) {
  if (byId("state").textContent !== text) byId("state").textContent = text;
}
