// The list of approvals by keys: j and k move among what waits, Enter opens it, a and x answer the one that is chosen.
const rows = () => [...document.querySelectorAll("#approvals tbody tr")];
const chosen = () => rows().find((row) => row.contains(document.activeElement));

export const onApprovals = () => Boolean(document.getElementById("approvals"));

export function moveApproval(step) {
  const all = rows();
  const at = all.indexOf(chosen());
  const next = at < 0 ? all[0] : all[Math.max(0, Math.min(all.length - 1, at + step))];
  next?.querySelector(".row-link").focus();
}

export function answerApproval(key) {
  const row = chosen() ?? (rows().length === 1 ? rows()[0] : null);
  row?.querySelector(`[data-answer="${key}"]`)?.click();
}
