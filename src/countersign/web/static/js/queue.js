// Selection in the queue: one row is current; its link holds the focus. A live update may add, move or take rows away, the
// selection stays with its case, and the preview is drawn again only when its case changed.
const PREVIEW_MS = 70;

let base = "";
let chosen = "";
let place = 0;
let timer = null;
let known = new Set();

const rows = () => [...document.querySelectorAll("#cases tbody tr")];
export const selectedRow = () => document.querySelector('#cases tr[aria-current="true"]');

function mark(row) {
  for (const other of document.querySelectorAll("#cases tr[aria-current]")) if (other !== row) other.removeAttribute("aria-current");
  for (const link of document.querySelectorAll("#cases .c-id a")) link.tabIndex = -1;
  if (!row) return;
  row.setAttribute("aria-current", "true");
  row.querySelector("a").tabIndex = 0;
  chosen = row.dataset.case;
  place = rows().indexOf(row);
}

function select(row, { focus = true } = {}) {
  if (!row) return;
  mark(row);
  if (focus) {
    row.querySelector("a").focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }
  preview(row);
}

function preview(row) {
  const pane = document.getElementById("preview");
  const shown = pane.querySelector("[data-preview]");
  if (shown?.dataset.preview === row.dataset.case && shown.dataset.entry === row.dataset.entry) return;
  clearTimeout(timer);
  timer = setTimeout(() => {
    window.htmx.ajax("GET", `${base}/cases/${encodeURIComponent(row.dataset.case)}/preview`, { source: "#preview", target: "#preview", swap: "innerMorph" });
  }, PREVIEW_MS);
}

export function moveSelection(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(selectedRow());
  select(all[Math.max(0, Math.min(all.length - 1, at + step))] ?? all[0]);
}

export function afterDisposal() {
  const all = rows();
  if (all.length) select(all[Math.min(place, all.length - 1)]);
}

function settle() {
  const all = rows();
  const fresh = all.filter((row) => !known.has(row.dataset.case));
  if (known.size && fresh.length && fresh.length <= 20) {
    for (const row of fresh) {
      row.dataset.fresh = "";
      setTimeout(() => delete row.dataset.fresh, 2600);
    }
    document.getElementById("said").textContent = `${fresh.length} new ${fresh.length === 1 ? "case" : "cases"} in the queue`;
  }
  known = new Set(all.map((row) => row.dataset.case));
  const same = all.find((row) => row.dataset.case === chosen);
  if (same) {
    mark(same);
    preview(same);
  } else if (all.length) {
    const typing = document.activeElement?.closest("input, textarea, dialog");
    const next = all[Math.min(place, all.length - 1)];
    mark(next);
    if (!typing || document.activeElement.id === "q") preview(next);
  }
}

export function watchQueue(at) {
  if (!document.getElementById("live")) return;
  base = at;
  const list = document.getElementById("live");
  list.addEventListener("click", (event) => {
    const row = event.target.closest("#cases tbody tr");
    if (row && !event.target.closest("a")) select(row);
  });
  list.addEventListener("dblclick", (event) => {
    const link = event.target.closest("#cases tbody tr")?.querySelector("a");
    if (link) location.assign(link.href);
  });
  list.addEventListener("focusin", (event) => {
    const row = event.target.closest("#cases tbody tr");
    if (row && row !== selectedRow()) select(row, { focus: false });
  });
  document.body.addEventListener("htmx:after:swap", (event) => {
    if (event.target.id === "live" || event.target.id === "filters") settle();
  });
  known = new Set(rows().map((row) => row.dataset.case));
  const first = rows()[0];
  if (first) mark(first);
}
