// Forms open in one dialog. It lies outside everything that live updates touch, so typed text is never lost; a form that was
// closed half-written is kept, and comes back when the same form is asked for again.
import { refresh } from "./live.js";
import { afterDisposal } from "./queue.js";

const DONE_MS = 1400;
const dialog = () => document.getElementById("dialog");
let held = "";

export function openForm(href) {
  const box = dialog();
  if (box.open) return;
  const body = document.getElementById("dialog-body");
  if (held === href && body.querySelector("form")) return show();
  held = href;
  // A source of its own: requests of one source wait for each other, and a preview under way would swallow the form.
  window.htmx.ajax("GET", href, { source: "#dialog-body", target: "#dialog-body", swap: "innerHTML" }).then(() => {
    if (body.querySelector("form")) show();
  });
}

function show() {
  const box = dialog();
  box.showModal();
  const first = box.querySelector("[name=disposition]:checked, [name=disposition], [name=owner], [name=reason]");
  first?.focus();
  if (first?.name === "owner") first.select();
}

export function closeDialog() {
  dialog().close();
}

export function watchForms() {
  document.body.addEventListener("case:done", (event) => {
    const what = event.detail?.value;
    held = "";
    refresh();
    const text = document.querySelector("#dialog-body .done p")?.textContent ?? "";
    document.getElementById("said").textContent = text.trim();
    setTimeout(() => {
      if (dialog().querySelector(".done")) {
        dialog().close();
        document.getElementById("dialog-body").replaceChildren();
        if (what === "disposed") afterDisposal();
      }
    }, DONE_MS);
  });
}
