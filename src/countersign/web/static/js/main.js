// The console's own script: keys, selection, forms in a dialog, preferences, live updates. Everything works without it,
// only slower: links open pages, forms post, the search field submits.
import { openStream } from "./live.js";
import { restorePreferences, toggleDensity, toggleTheme } from "./preferences.js";
import { closeDialog, openForm, watchForms } from "./forms.js";
import { moveSelection, selectedRow, watchQueue } from "./queue.js";
import { moveEvidence } from "./evidence.js";
import { keepAges } from "./ages.js";
import { answerApproval, moveRow, onApprovals, onRows } from "./approvals.js";
import { copy } from "./copy.js";
import { watchSigning } from "./signing.js";

const base = document.body.dataset.base;

const actions = {
  theme: toggleTheme,
  density: toggleDensity,
  keys: () => document.getElementById("keys").showModal(),
  close: closeDialog,
  copy,
  dismiss: () => document.getElementById("notice").replaceChildren(),
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) return actions[button.dataset.do]?.(button);
  const link = event.target.closest("a[data-form]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    openForm(link.getAttribute("href"));
  }
});

function caseHref(part = "") {
  const onPage = document.querySelector("main[data-case]")?.dataset.case;
  const id = onPage ?? selectedRow()?.dataset.case;
  return id ? `${base}/cases/${encodeURIComponent(id)}${part}` : null;
}

function askForm(part) {
  const link = document.querySelector(`a[data-form][href$="${part}"]`);
  const href = caseHref(part);
  const row = selectedRow();
  const open = row ? !row.classList.contains("closed") : Boolean(link);
  if (href && open) openForm(href);
}

// Controls that show their own key: a review's answers, the next review, an overturn.
const press = (key) => document.querySelector(`[data-key="${key}"]:not([disabled])`)?.click();

function step(by, key) {
  if (onRows()) return moveRow(by);
  if (selectedRow()) return moveSelection(by);
  if (document.querySelector(`[data-key="${key}"]`)) return press(key);
  moveEvidence(by);
}

const keys = {
  j: () => step(1, "j"),
  k: () => step(-1, "k"),
  a: () => (onApprovals() ? answerApproval("a") : press("a")),
  x: () => (onApprovals() ? answerApproval("x") : press("x")),
  d: () => askForm("/dispose"),
  e: () => askForm("/assign"),
  b: () => press("b"),
  t: () => press("t"),
  s: () => press("s"),
  r: () => press("r"),
  o: () => press("o"),
  "/": () => document.getElementById("q")?.focus(),
  "?": actions.keys,
  Enter: () => {
    const href = selectedRow() && caseHref();
    if (href) location.assign(href);
  },
  Backspace: () => {
    const up = document.querySelector("main[data-case]") ? `${base}/` : document.querySelector("main[data-up]")?.dataset.up;
    if (up) location.assign(up);
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const at = event.target;
  if (at.id === "q") {
    if (event.key === "Escape" || event.key === "ArrowDown") {
      event.preventDefault();
      at.blur();
      moveSelection(0);
    }
    return;
  }
  if (at.closest("input, textarea, select, dialog")) return;
  if (event.key === "Enter" && at.closest("a, button, summary")) return;
  const act = keys[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});

restorePreferences();
watchForms();
watchSigning();
watchQueue(base);
keepAges();
openStream(base);
