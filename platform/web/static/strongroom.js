// The frame's behaviour: theme, navigation on a phone, menus, dialogs, toasts, keys. Pages add their own files.
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

  // One listener per kind of event, on the document, so that what htmx brings in works too.
  document.addEventListener("click", (event) => {
    const hit = (selector) => event.target.closest(selector);
    const theme = hit("[data-theme]");
    if (theme) { window.chooseTheme(theme.dataset.theme); markTheme(); }
    if (hit("[data-nav-toggle]")) toggleNavigation();
    if (hit("[data-nav-close]")) toggleNavigation(false);
    if (hit("[data-dismiss]")) hit("[data-toast]")?.remove();
    const opener = hit("[data-dialog]");
    if (opener) $(opener.dataset.dialog)?.showModal();
    if (hit("[data-close]") || event.target instanceof HTMLDialogElement) hit("dialog")?.close();
    const revealer = hit("[data-reveal]");
    if (revealer) reveal(revealer);
    const copier = hit("[data-copy]");
    if (copier) copy(copier);
    $$("details[data-menu][open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-once]")) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    $$("button:not([type=button])", form).forEach((button) => button.classList.add("is-busy"));
  });
  window.addEventListener("pageshow", () => $$("form[data-sent]").forEach((form) => {
    delete form.dataset.sent;
    $$(".is-busy", form).forEach((button) => button.classList.remove("is-busy"));
  }));

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit-on-change]")) event.target.form.requestSubmit();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      $$("details[data-menu][open]").forEach((menu) => { menu.open = false; $("summary", menu).focus(); });
      toggleNavigation(false);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const action = { "/": search, n: add, j: () => step(1), k: () => step(-1), "?": keys }[event.key];
    if (action && action() !== false) event.preventDefault();
  });

  const search = () => $("[data-key-search]") ? $("[data-key-search]").focus() : false;
  const add = () => $("[data-key-new]") ? $("[data-key-new]").click() : false;
  const keys = () => $("#keys") ? $("#keys").showModal() : false;

  // Rows of a list are marked with data-row; the link inside gets the focus, so Enter opens it.
  function step(direction) {
    const rows = $$("[data-row]");
    if (!rows.length) return false;
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + direction))];
    ($("[data-row-link], a", next) || next).focus();
    next.scrollIntoView({ block: "nearest" });
    return true;
  }

  function toggleNavigation(open = !document.body.classList.contains("nav-open")) {
    document.body.classList.toggle("nav-open", open);
    const toggle = $("[data-nav-toggle]");
    if (!toggle) return;
    toggle.setAttribute("aria-expanded", String(open));
    if (open) $(".sidebar a")?.focus();
  }

  function reveal(button) {
    const input = $(button.dataset.reveal);
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
    input.focus();
  }

  async function copy(button) {
    const source = $(button.dataset.copy);
    const text = source.value ?? source.textContent.trim();
    try { await navigator.clipboard.writeText(text); } catch { source.select?.(); return; }
    const before = button.dataset.label ?? button.textContent;
    button.dataset.label = before;
    button.lastChild.textContent = "Copied";
    setTimeout(() => { button.lastChild.textContent = before; }, 2000);
  }

  function markTheme() {
    const chosen = document.documentElement.dataset.chosenTheme;
    $$("[data-theme]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.theme === chosen)));
  }

  // A passing message leaves by itself, an error stays until it is dismissed.
  function tidyToasts() {
    $$("[data-toast]:not(.toast-error):not([data-timed])").forEach((toast) => {
      toast.dataset.timed = "yes";
      setTimeout(() => toast.remove(), 6000);
    });
  }

  document.addEventListener("htmx:sendError", () => $("#toasts").append($("#unreachable").content.cloneNode(true)));

  // The address of a new workspace follows its name until somebody types an address.
  document.addEventListener("input", (event) => {
    const target = event.target;
    if (target.id === "slug") target.dataset.typed = "yes";
    if (!target.dataset.slugSource) return;
    const slug = $(target.dataset.slugSource);
    if (slug.dataset.typed) return;
    slug.value = target.value.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^[-0-9]+|-+$/g, "").slice(0, 40);
    slug.dispatchEvent(new CustomEvent("checked-later", { bubbles: true }));
  });

  markTheme();
  tidyToasts();
  $$("[data-reveal]").forEach((button) => { button.hidden = false; });
  document.addEventListener("submit", () => $$("[data-reveal]").forEach((button) => { $(button.dataset.reveal).type = "password"; }));
  $(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  document.addEventListener("htmx:afterSwap", tidyToasts);
})();
