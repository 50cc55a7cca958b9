// Copies what stands on a button's data-copy; where the browser does not let it, the text beside is selected instead.
const SAID_MS = 1600;

function pick(button) {
  const code = button.parentElement.querySelector("code");
  if (code) getSelection().selectAllChildren(code);
}

export async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    return pick(button);
  }
  document.getElementById("said").textContent = "Copied";
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), SAID_MS);
}
