// One event stream per page. The server says that something changed; the page asks again for what it shows, at most once a second.
const PAUSE_MS = 1000;

let last = ""; // what the page shows: the server says so in the page, and in every event
let waiting = null;
let asked = 0;

function ask() {
  const wait = Math.max(0, asked + PAUSE_MS - Date.now());
  if (waiting !== null) return;
  waiting = setTimeout(() => {
    waiting = null;
    asked = Date.now();
    window.htmx?.trigger(document.body, "ledger");
  }, wait);
}

function show(state) {
  const sign = document.getElementById("stream");
  if (sign) sign.dataset.state = state;
}

export function openStream(base) {
  if (!document.getElementById("status")) return;
  last = document.body.dataset.pulse;
  const stream = new EventSource(`${base}/events`);
  stream.addEventListener("open", () => show("on"));
  stream.addEventListener("error", () => show("off"));
  stream.addEventListener("ledger", (event) => {
    if (last && event.data !== last) ask();
    last = event.data;
  });
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

export function refresh() {
  asked = 0;
  ask();
}
