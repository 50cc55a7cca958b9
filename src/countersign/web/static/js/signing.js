// Approving with a passkey: the form is held back until the authenticator has signed what the server asks for. What is signed is
// made of the digest of the very bytes that the form shows; a click alone approves nothing.
const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const toText = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

function say(form, text) {
  const box = form.querySelector(".problem");
  box.textContent = text;
  box.hidden = !text;
}

async function asked(form) {
  const answer = await fetch(form.dataset.ceremony, { headers: { accept: "application/json" } });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.problem ?? "The server did not say what to sign. Reload the page.");
  return body;
}

async function sign(form) {
  const ceremony = await asked(form);
  const given = await navigator.credentials.get({
    publicKey: {
      challenge: toBytes(ceremony.challenge),
      rpId: ceremony.rp_id,
      allowCredentials: ceremony.credentials.map((id) => ({ type: "public-key", id: toBytes(id) })),
      userVerification: "required",
      timeout: 120000,
    },
  });
  const { authenticatorData, clientDataJSON, signature } = given.response;
  const values = { credential: given.rawId, authenticator_data: authenticatorData, client_data: clientDataJSON, signature };
  for (const [name, value] of Object.entries(values)) form.elements[name].value = toText(value);
  form.elements.nonce.value = ceremony.nonce;
}

async function approve(form) {
  say(form, "");
  if (!window.PublicKeyCredential) return say(form, "This browser, or this address, knows no passkeys: they need https or localhost.");
  try {
    await sign(form);
  } catch (error) {
    const refused = error.name === "NotAllowedError" ? "Nothing was signed: the passkey was not used, or did not verify you." : error.message;
    return say(form, refused);
  }
  form.requestSubmit();
}

export function watchSigning() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-sign]");
    const form = button?.form;
    if (!form || form.elements.signature.value) return;
    event.preventDefault();
    if (form.reportValidity()) approve(form);
  }, true);
}
