// Lists by keys: j and k move among the rows, Enter opens one; on the approvals a and x answer the one that is chosen.
const rows = () => [...document.querySelectorAll(":is(#approvals, [data-rows]) tbody tr")];
const chosen = () => rows().find((row) => row.contains(document.activeElement));

export const onApprovals = () => Boolean(document.getElementById("approvals"));
export const onRows = () => rows().length > 0;

export function moveRow(step) {
  const all = rows();
  const at = all.indexOf(chosen());
  const next = at < 0 ? all[0] : all[Math.max(0, Math.min(all.length - 1, at + step))];
  const link = next?.querySelector(".row-link");
  link?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
}

export function answerApproval(key) {
  const row = chosen() ?? (rows().length === 1 ? rows()[0] : null);
  row?.querySelector(`[data-answer="${key}"]`)?.click();
}
