// Sets the colours before the first paint: what the person chose on this device, else what the device wishes.
(() => {
  const wish = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; }
  };
  const apply = () => {
    const theme = chosen();
    const dark = theme === "dark" || (theme === "auto" && wish.matches);
    document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
    document.documentElement.dataset.chosenTheme = theme;
    document.dispatchEvent(new CustomEvent("theme-changed"));
  };
  window.chooseTheme = (theme) => {
    try { localStorage.setItem("theme", theme); } catch { /* private window: holds for this page */ }
    apply();
  };
  wish.addEventListener("change", apply);
  apply();
})();
