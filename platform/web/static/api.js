// The reference of the API: sends what a form says, with the token that was typed, and shows the answer.
(() => {
  const token = document.querySelector("#token");
  const filled = (form, where) => [...form.querySelectorAll(`[data-where="${where}"]`)].filter((input) => input.value !== "");

  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-api-token]")) event.preventDefault();
    if (!event.target.matches("[data-api-call]")) return;
    event.preventDefault();
    call(event.target);
  });

  function address(form) {
    let path = form.dataset.path;
    filled(form, "path").forEach((input) => { path = path.replace(`{${input.name}}`, encodeURIComponent(input.value.trim())); });
    const query = new URLSearchParams();
    filled(form, "query").forEach((input) => (input.matches("[data-list]") ? input.value.split(/[\s,]+/).filter(Boolean) : [input.value]).forEach((one) => query.append(input.name, one)));
    return query.size ? `${path}?${query}` : path;
  }

  function request(form) {
    const headers = new Headers();
    if (token.value.trim()) headers.set("Authorization", `Bearer ${token.value.trim()}`);
    filled(form, "header").forEach((input) => headers.set(input.name, input.value));
    const sent = { method: form.dataset.method, headers, credentials: "omit", cache: "no-store" };
    if (form.dataset.type === "application/json") {
      headers.set("Content-Type", "application/json");
      sent.body = form.elements.body.value;
    } else if (form.dataset.type) {
      sent.body = new FormData();
      sent.body.append("file", form.elements.file.files[0]);
    }
    return sent;
  }

  async function call(form) {
    const answer = form.querySelector("[data-api-answer]"), button = form.querySelector("button");
    button.classList.add("is-busy");
    try {
      const response = await fetch(address(form), request(form));
      answer.replaceChildren(line(`${response.status} ${response.statusText}`.trim()), block(await text(response)));
    } catch {
      answer.replaceChildren(line("The server could not be reached, or a header has characters that none may have."));
    }
    button.classList.remove("is-busy");
  }

  async function text(response) {
    const type = response.headers.get("Content-Type") || "";
    const told = ["ETag", "Location", "Link", "Retry-After", "WWW-Authenticate"].filter((name) => response.headers.has(name));
    const headers = told.map((name) => `${name}: ${response.headers.get(name)}\n`).join("");
    if (!type.includes("json")) return `${headers}${(await response.blob()).size} bytes${type ? ` of ${type}` : ""}`;
    return `${headers}${JSON.stringify(await response.json(), null, 2)}`;
  }

  function line(words) {
    const made = document.createElement("p");
    made.append(Object.assign(document.createElement("strong"), { textContent: words }));
    return made;
  }

  function block(words) {
    const made = Object.assign(document.createElement("pre"), { className: "code-block", tabIndex: 0 });
    made.append(Object.assign(document.createElement("code"), { textContent: words }));
    return made;
  }
})();
