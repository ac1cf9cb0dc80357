// Pages about money: choosing rows, dropping receipts, looking at them, the exchange rate, the calendar.
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

  // 1. Choosing rows and submitting them together.
  function countChosen() {
    const bar = $("[data-bulk]");
    if (!bar) return;
    const rows = $$("[data-bulk-one]");
    const chosen = rows.filter((box) => box.checked).length;
    const all = $("[data-bulk-all]");
    if (all) {
      all.checked = chosen > 0 && chosen === rows.length;
      all.indeterminate = chosen > 0 && chosen < rows.length;
      all.disabled = rows.length === 0;
    }
    const words = `${chosen} expense${chosen === 1 ? "" : "s"}`;
    bar.hidden = chosen === 0;
    $("[data-bulk-text]", bar).textContent = `${words} chosen`;
    $("[data-bulk-label]", bar).textContent = `Submit ${words}`;
  }

  // 2. Receipts: drop anywhere on the page that has a place for them.
  const place = () => $("[data-drop]");
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0;
  const mark = (on) => place()?.classList.toggle("is-over", on);
  document.addEventListener("dragenter", (event) => { if (hasFiles(event)) { depth += 1; mark(true); } });
  document.addEventListener("dragleave", (event) => { if (hasFiles(event)) { depth = Math.max(0, depth - 1); if (!depth) mark(false); } });
  document.addEventListener("dragover", (event) => { if (hasFiles(event) && place()) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event) || !place()) return;
    event.preventDefault();
    depth = 0;
    mark(false);
    const input = $("input[type=file]", place());
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  document.addEventListener("htmx:xhr:progress", (event) => {
    const bar = event.target.closest("[data-drop]") && $("progress", event.target);
    if (!bar) return;
    bar.hidden = false;
    if (event.detail.lengthComputable) bar.value = (100 * event.detail.loaded) / event.detail.total;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = event.target.closest?.("[data-drop]");
    if (!form) return;
    $$("input[type=file]", form).forEach((input) => { input.value = ""; });
    const bar = $("progress", form);
    if (bar) bar.hidden = true;
  });

  // 3. Looking at receipts.
  function showSheet(viewer, index) {
    $$("[data-sheet]", viewer).forEach((sheet, at) => { sheet.hidden = at !== index; });
    $$("[data-thumb]", viewer).forEach((thumb, at) => thumb.setAttribute("aria-pressed", String(at === index)));
  }
  function zoom(sheet) {
    const on = sheet.classList.toggle("is-zoomed");
    $("[data-zoom]", sheet).setAttribute("aria-pressed", String(on));
  }
  function turn(sheet) {
    const next = (Number(sheet.dataset.turned || 0) + 1) % 4;
    sheet.dataset.turned = String(next);
  }
  function takeOff(button) {
    const id = button.dataset.removeReceipt;
    $$(`input[name=receipt][value="${CSS.escape(id)}"]`).forEach((input) => input.remove());
    const viewer = button.closest("[data-viewer]");
    const at = $$("[data-sheet]", viewer).indexOf(button.closest("[data-sheet]"));
    $$("[data-sheet]", viewer)[at].remove();
    $$("[data-thumb]", viewer)[at]?.remove();
    if ($("[data-sheet]", viewer)) showSheet(viewer, 0); else viewer.remove();
  }

  document.addEventListener("click", (event) => {
    const hit = (selector) => event.target.closest(selector);
    const sheet = hit("[data-sheet]");
    if (hit("[data-zoom], [data-picture]") && sheet) zoom(sheet);
    if (hit("[data-turn]") && sheet) turn(sheet);
    if (hit("[data-remove-receipt]")) takeOff(hit("[data-remove-receipt]"));
    const thumb = hit("[data-thumb]");
    if (thumb) { const viewer = thumb.closest("[data-viewer]"); showSheet(viewer, $$("[data-thumb]", viewer).indexOf(thumb)); }
    if (hit("[data-bulk-clear]")) { $$("[data-bulk-one]").forEach((box) => { box.checked = false; }); countChosen(); }
    if (hit("[data-date-button]")) openCalendar(hit("[data-date-button]").parentElement);
  });

  // 4. The calendar writes the day the way people read it.
  function openCalendar(line) {
    const picker = $("[data-date-picker]", line);
    const found = /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec($("#spent_on").value.trim());
    if (found) picker.value = `${found[3]}-${found[2].padStart(2, "0")}-${found[1].padStart(2, "0")}`;
    try { picker.showPicker(); } catch { $("#spent_on").focus(); }
  }

  // 5. The exchange rate: shown for a foreign currency, with what it comes to.
  function showRate() {
    const select = $("[data-currency]");
    const block = $("[data-fx]");
    if (!select || !block) return;
    const base = select.dataset.currency;
    const input = $("#fx_rate");
    block.hidden = select.value === base;
    $("[data-fx-currency]").textContent = select.value;
    const rates = JSON.parse($("[data-rates]").textContent);
    const hint = $("[data-fx-suggested]");
    if (!block.hidden && (!input.value || input.dataset.suggested)) {
      input.value = rates[select.value] ?? "";
      input.dataset.suggested = input.value ? "yes" : "";
    }
    hint.hidden = !input.dataset.suggested;
    const amount = Number($("#amount").value.replace(/[\s']/g, "").replace(/,(?=\d{3}\b)/g, "").replace(",", "."));
    const rate = Number(input.value.replace(",", "."));
    const known = amount > 0 && rate > 0 && !block.hidden;
    $("[data-fx-result]").textContent = known
      ? `Comes to ${new Intl.NumberFormat("en-GB", { style: "currency", currency: base, currencyDisplay: "code" }).format(amount * rate).replace(base, "").trim()} ${base}. ` : "";
  }

  document.addEventListener("input", (event) => {
    if (event.target.id === "fx_rate") delete event.target.dataset.suggested;
    if (["fx_rate", "amount"].includes(event.target.id)) showRate();
  });
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches("[data-bulk-all]")) $$("[data-bulk-one]").forEach((one) => { one.checked = box.checked; });
    if (box.matches("[data-bulk-all], [data-bulk-one]")) countChosen();
    if (box.matches("[data-currency]")) showRate();
    if (box.matches("[data-date-picker]") && box.value) {
      const [year, month, day] = box.value.split("-");
      $("#spent_on").value = `${day}/${month}/${year}`;
    }
  });
  document.addEventListener("htmx:afterSwap", countChosen);
  window.addEventListener("pageshow", countChosen);

  countChosen();
  showRate();
})();
