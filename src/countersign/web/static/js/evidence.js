// On a case page j and k walk the evidence.
export function moveEvidence(step) {
  const all = [...document.querySelectorAll(".timeline .moment")];
  if (!all.length) return;
  const at = all.indexOf(document.activeElement.closest?.(".moment"));
  const next = all[Math.max(0, Math.min(all.length - 1, at + step))];
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}
