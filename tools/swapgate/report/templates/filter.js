"use strict";
// Filters: whatever carries data-status, -gate, -model, -task or -language is hidden unless it is what was chosen. The choice is kept in
// the address (#?status=REGRESSION&q=cat), so that a filtered page can be linked to.
const filtering = (() => {
  const bar = document.getElementById("filters");
  if (!bar) return null;
  const KEYS = ["status", "gate", "model", "task", "language"];
  const shown = document.getElementById("shown");
  const parts = [...document.querySelectorAll(".pick, .heatcell")];
  const cells = parts.filter((one) => one.classList.contains("cell"));
  const texts = new Map();
  const text = (one) => {
    if (!texts.has(one)) texts.set(one, one.textContent.toLowerCase());
    return texts.get(one);
  };
  const anchors = new Map(parts.filter((one) => one.classList.contains("heatcell")).map((one) => [one, document.getElementById(one.hash.slice(1))]));

  const read = () => {
    const chosen = new URLSearchParams();
    for (const field of bar.querySelectorAll("input, select")) {
      const on = field.type === "checkbox" ? field.checked : field.value.trim();
      if (on) chosen.append(field.name, field.value.trim());
    }
    return chosen;
  };
  const write = (chosen) => {
    for (const field of bar.querySelectorAll("input, select")) {
      const values = chosen.getAll(field.name);
      if (field.type === "checkbox") field.checked = values.includes(field.value);
      else field.value = values[0] || "";
    }
  };
  const fits = (one, chosen, words) => {
    for (const key of KEYS) {
      const wanted = chosen.getAll(key);
      if (wanted.length && one.dataset[key] !== undefined && !wanted.includes(one.dataset[key])) return false;
    }
    // A cell of the table is found by what stands in its details, a strip of seeds by its own prompts.
    const where = anchors.get(one) || one;
    return words.every((word) => text(where).includes(word));
  };
  const apply = () => {
    const chosen = read();
    const words = (chosen.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const fitting = new Set(parts.filter((one) => fits(one, chosen, words)));
    for (const one of parts) {
      if (one.classList.contains("heatcell")) one.classList.toggle("dim", !fitting.has(one));
      else one.hidden = !fitting.has(one);
    }
    for (const row of document.querySelectorAll(".heatrow")) row.hidden = !row.querySelector(".heatcell:not(.dim)");
    const seen = cells.filter((one) => fitting.has(one)).length;
    shown.textContent = shown.dataset.said.replace("{k}", seen).replace("{n}", cells.length);
    return chosen;
  };
  const remember = (chosen) => {
    const hash = [...chosen.keys()].length ? `#?${chosen}` : location.hash.startsWith("#?") ? "#" : location.hash;
    try { history.replaceState(null, "", hash || "#"); } catch { /* a sandboxed frame may not */ }
  };
  const clear = () => { write(new URLSearchParams()); apply(); };

  bar.hidden = false;
  bar.addEventListener("input", () => remember(apply()));
  bar.querySelector("[name=clear]").addEventListener("click", () => { clear(); remember(read()); });
  return { apply, clear, write };
})();
