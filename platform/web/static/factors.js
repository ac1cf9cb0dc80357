// Passkeys: asks the server what to sign, the device to sign it, and sends the answer with the form around the button.
(() => {
  const decode = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  const encode = (buffer) => buffer && btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const withBytes = (known) => known?.map((one) => ({ ...one, id: decode(one.id) }));

  const SAYINGS = {
    NotAllowedError: "Nothing was confirmed. Try again, or choose another way.",
    AbortError: "Nothing was confirmed. Try again, or choose another way.",
    InvalidStateError: "This device has a passkey for you already.",
    SecurityError: "Passkeys do not work at this address.",
    TooMany: "Too many tries. Please wait a few minutes, then try again.",
  };
  const OTHERWISE = "That did not work. Reload the page and try again.";

  if (window.PublicKeyCredential) {
    for (const form of document.querySelectorAll("[data-passkey]")) {
      for (const part of form.querySelectorAll("[data-passkey-button], [data-passkey-or]")) part.hidden = false;
      for (const part of form.querySelectorAll("[data-passkey-missing]")) part.hidden = true;
      form.querySelector("[data-passkey-button]")?.addEventListener("click", () => use(form));
      form.addEventListener("submit", (event) => { if (form.dataset.passkey === "create") { event.preventDefault(); delete form.dataset.sent; use(form); } });
    }
  }
  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }

  async function use(form) {
    const button = form.querySelector("[data-passkey-button]");
    if (button.disabled) return;
    button.disabled = true;
    say(form, "");
    try {
      const options = await ask(form);
      if (!options) return;
      const made = form.dataset.passkey === "create"
        ? await navigator.credentials.create({ publicKey: options })
        : await navigator.credentials.get({ publicKey: options });
      form.elements.credential.value = JSON.stringify(asJson(made));
      form.submit();
    } catch (error) {
      say(form, SAYINGS[error.name] ?? OTHERWISE);
    } finally {
      button.disabled = false;
    }
  }

  async function ask(form) {
    const answer = await fetch(form.dataset.options, { method: "POST", headers: { "X-CSRFToken": form.elements.csrf_token.value } });
    if (answer.status === 429) throw { name: "TooMany" };
    if (answer.redirected || answer.status === 401) { window.location.reload(); return null; }
    if (!answer.ok) throw new Error(answer.statusText);
    const options = await answer.json();
    options.challenge = decode(options.challenge);
    if (options.user) options.user.id = decode(options.user.id);
    if (options.excludeCredentials) options.excludeCredentials = withBytes(options.excludeCredentials);
    if (options.allowCredentials) options.allowCredentials = withBytes(options.allowCredentials);
    return options;
  }

  function asJson(made) {
    const { response } = made;
    const fields = { clientDataJSON: encode(response.clientDataJSON) };
    if (response.attestationObject) {
      fields.attestationObject = encode(response.attestationObject);
      fields.transports = response.getTransports?.() ?? [];
    } else {
      fields.authenticatorData = encode(response.authenticatorData);
      fields.signature = encode(response.signature);
      if (response.userHandle) fields.userHandle = encode(response.userHandle);
    }
    return { id: made.id, rawId: encode(made.rawId), type: made.type, authenticatorAttachment: made.authenticatorAttachment, clientExtensionResults: {}, response: fields };
  }

  function say(form, sentence) {
    const place = form.querySelector("[data-passkey-message]");
    place.hidden = !sentence;
    place.lastElementChild.textContent = sentence;
  }
})();
