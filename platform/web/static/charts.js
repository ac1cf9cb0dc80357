// The dashboard's two charts, drawn from the numbers in the page. Each bar opens the list it stands for.
(() => {
  const OKABE_ITO = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8a8f8c"];
  const source = document.getElementById("chart-data");
  if (!source || !window.Chart) return;
  const data = JSON.parse(source.textContent);
  const charts = [];
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const money = (value) => new Intl.NumberFormat("en-GB", { style: "currency", currency: data.currency, currencyDisplay: "code" }).format(value).replace(data.currency, "").replace("-", "\u2212").trim() + ` ${data.currency}`;
  const short = (value) => new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 }).format(value).replace("-", "\u2212");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  function options(bars, lying) {
    const ink = style("--ink-2");
    const line = style("--line");
    const values = { beginAtZero: true, border: { display: false }, grid: { color: line }, ticks: { color: ink, maxTicksLimit: 5, callback: short } };
    const labels = { border: { color: line }, grid: { display: false }, ticks: { color: ink, autoSkip: !lying, maxRotation: 0, callback: (_, at) => shorten(bars[at].label, lying) } };
    return {
      indexAxis: lying ? "y" : "x",
      responsive: true,
      maintainAspectRatio: false,
      animation: calm ? false : { duration: 350 },
      scales: lying ? { x: values, y: labels } : { x: labels, y: values },
      plugins: { legend: { display: false }, tooltip: { displayColors: false, callbacks: { title: (items) => bars[items[0].dataIndex].label, label: (item) => money(item.raw) } } },
      onClick: (_, items) => { if (items.length) location.assign(bars[items[0].index].href); },
      onHover: (event, items) => { event.native.target.style.cursor = items.length ? "pointer" : "default"; },
    };
  }

  function shorten(label, lying) {
    if (!lying) return label.slice(0, 3);
    const room = innerWidth < 640 ? 15 : 24;
    return label.length > room ? `${label.slice(0, room - 1)}…` : label;
  }

  function draw() {
    charts.splice(0).forEach((chart) => chart.destroy());
    Chart.defaults.font.family = style("--tblr-font-sans-serif") || "sans-serif";
    Chart.defaults.font.size = 12;
    document.querySelectorAll("[data-chart]").forEach((canvas) => {
      const bars = data[canvas.dataset.chart];
      const lying = canvas.dataset.chart === "category";
      const colours = lying ? bars.map((_, at) => OKABE_ITO[at % OKABE_ITO.length]) : OKABE_ITO[0];
      const dataset = { data: bars.map((bar) => bar.amount), backgroundColor: colours, borderRadius: 4, maxBarThickness: lying ? 22 : 34 };
      charts.push(new Chart(canvas, { type: "bar", data: { labels: bars.map((bar) => bar.label), datasets: [dataset] }, options: options(bars, lying) }));
    });
  }

  document.querySelectorAll("[data-chart-card]").forEach((card) => {
    const button = card.querySelector("[data-chart-toggle]");
    const show = (table) => {
      card.querySelector("[data-chart-table]").hidden = !table;
      card.querySelector("[data-chart-box]").hidden = table;
      button.setAttribute("aria-pressed", String(table));
      button.textContent = table ? "Chart" : "Table";
    };
    button.addEventListener("click", () => { show(button.getAttribute("aria-pressed") !== "true"); draw(); });
    show(false);
  });
  document.addEventListener("theme-changed", draw);
  draw();
})();
