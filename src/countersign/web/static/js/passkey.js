// Passkeys: a form with data-passkey asks the server for options, the authenticator for an answer, and hands that back.
// "make" registers one, "use" signs in with one. Without this script, or without WebAuthn, the form says so and does nothing.
const toBytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const toText = (data) =>
  btoa(String.fromCharCode(...new Uint8Array(data))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

function readable(options) {
  const ids = (list) => list?.map((one) => ({ ...one, id: toBytes(one.id) }));
  const user = options.user && { ...options.user, id: toBytes(options.user.id) };
  const found = { ...options, challenge: toBytes(options.challenge) };
  if (user) found.user = user;
  if (options.excludeCredentials) found.excludeCredentials = ids(options.excludeCredentials);
  if (options.allowCredentials) found.allowCredentials = ids(options.allowCredentials);
  return found;
}

function sendable(made) {
  const { response } = made;
  const parts = { clientDataJSON: toText(response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) parts[name] = toText(response[name]);
  }
  if (response.getTransports) parts.transports = response.getTransports();
  return JSON.stringify({ id: made.id, rawId: toText(made.rawId), type: made.type, response: parts });
}

async function post(address, form) {
  const answer = await fetch(address, { method: "POST", body: new URLSearchParams(form), credentials: "same-origin" });
  const json = (answer.headers.get("content-type") ?? "").startsWith("application/json");
  const found = json ? await answer.json() : {};
  if (!answer.ok) throw new Error(found.problem ?? "The server did not take it. Reload the page and try again.");
  return found;
}

const WORDS = {
  NotAllowedError: "The device did not confirm: it was cancelled, or took too long.",
  InvalidStateError: "This device holds a passkey of yours already. Sign in with it instead.",
  SecurityError: "The browser refuses passkeys at this address.",
};

async function run(form) {
  const said = form.querySelector("[data-said]");
  const button = form.querySelector("button");
  said.className = "said";
  said.textContent = "Waiting for your device…";
  button.disabled = true;
  try {
    const values = new FormData(form);
    const publicKey = readable(await post(form.dataset.options, values));
    const made = await (form.dataset.passkey === "make"
      ? navigator.credentials.create({ publicKey })
      : navigator.credentials.get({ publicKey }));
    values.set("credential", sendable(made));
    const { to } = await post(form.action, values);
    said.textContent = "Done.";
    location.assign(to);
  } catch (error) {
    said.className = "said wrong";
    said.textContent = WORDS[error.name] ?? error.message;
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const able = window.PublicKeyCredential && navigator.credentials;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (able) run(form);
  });
  form.querySelector("button").disabled = !able;
  if (!able) form.querySelector("[data-said]").textContent = "This browser has no passkeys.";
}
