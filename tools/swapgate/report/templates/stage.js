// The stage: one pair of pictures, large, in five views, with its seeds below. It reads everything from the figure that the page holds anyway.
const stage = (() => {
  const dialog = document.getElementById("stage");
  if (!dialog || !dialog.showModal) return null;
  const frames = document.getElementById("frames");
  const seeds = document.getElementById("seeds");
  const mix = dialog.querySelector("[name=mix]");
  const lens = dialog.querySelector("[name=lens]");
  const modes = [...dialog.querySelectorAll("[name=mode]")];
  const pane = (side) => frames.querySelector(`[data-side=${side}] .pane`);
  const byId = (id) => document.getElementById(id);
  const ZOOM = 4;
  let shown = null, spot = [50, 50], opener = null;

  const siblings = (figure) => [...figure.closest(".pairs").querySelectorAll("figure.pair")];
  const strips = (figure) => [...(figure.closest(".gallery") || figure.closest("section")).querySelectorAll(".pairs")].filter((one) => !one.closest("[hidden]"));
  const copy = (from, to) => { to.replaceChildren(...[...from.childNodes].map((node) => node.cloneNode(true))); };
  const link = (figure, side) => figure.querySelector(`[data-role=${side}]`);

  const fill = (figure, side) => {
    const made = link(figure, side), target = pane(side);
    target.classList.toggle("empty", !made);
    if (!made) {
      const place = { baseline: 1, candidate: 2, difference: 3 }[side];
      const said = figure.querySelector(`.trio > div:nth-child(${place}) .void`);
      target.textContent = said ? said.textContent : dialog.dataset.no;
      return;
    }
    const image = made.querySelector("img").cloneNode();
    image.loading = "eager";
    const glass = document.createElement("div");
    glass.className = "glass";
    glass.setAttribute("aria-hidden", "true");
    target.replaceChildren(image, glass);
  };
  const names = (text) => (text || "").split("|").filter(Boolean);
  const checks = (figure) => {
    const gallery = figure.closest("[data-checks]") || home(figure)?.closest("[data-checks]");
    const failed = names(figure.dataset.failed), before = names(figure.dataset.before);
    const every = [...new Set([...failed, ...before, ...names(gallery?.dataset.checks)])]; // what fails is read first
    const cell = (known, broke) => {
      const made = document.createElement("td");
      made.textContent = !known ? "—" : broke ? dialog.dataset.broke : dialog.dataset.held;
      made.className = !known ? "muted" : broke ? "bad" : "good";
      return made;
    };
    byId("stage-checks").hidden = !every.length;
    byId("stage-checks").tBodies[0].replaceChildren(...every.map((name) => {
      const row = document.createElement("tr"), head = document.createElement("th");
      head.scope = "row";
      head.textContent = name;
      row.append(head, cell(figure.dataset.was, before.includes(name)), cell(figure.dataset.usable, failed.includes(name)));
      return row;
    }));
  };
  // The figure in the gallery of which an exhibit is a second showing, where it is on this page.
  const home = (figure) => (figure.dataset.pair.startsWith("#") ? byId(figure.dataset.pair.slice(1)) : null);
  const sizes = (figure) => {
    const { sizeBaseline: one, sizeCandidate: other } = figure.dataset;
    frames.querySelector("[data-side=baseline] .size").textContent = one || "";
    frames.querySelector("[data-side=candidate] .size").textContent = other || "";
    byId("stage-sizes").textContent = one && other && one !== other ? `${dialog.dataset.sizes} ${one} → ${other}` : "";
  };
  const strip = (figure) => {
    seeds.replaceChildren(...siblings(figure).map((one) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-current", String(one === figure));
      const images = ["baseline", "candidate"].map((side) => link(one, side)?.querySelector("img").cloneNode()).filter(Boolean);
      const said = document.createElement("span");
      copy(one.querySelector(".line"), said);
      said.querySelectorAll("a").forEach((anchor) => anchor.remove());
      button.append(...images, said);
      button.addEventListener("click", () => show(one));
      return button;
    }));
    seeds.querySelector("[aria-current=true]").scrollIntoView({ block: "nearest", inline: "center" });
  };
  const show = (figure) => {
    shown = figure;
    for (const side of ["baseline", "candidate", "difference"]) fill(figure, side);
    const first = link(figure, "baseline") || link(figure, "candidate"), sized = first?.querySelector("img");
    frames.style.setProperty("--ratio", sized ? sized.getAttribute("width") / sized.getAttribute("height") : 1);
    const card = figure.closest(".gallery, .cell, section"), all = siblings(figure);
    byId("stage-title").textContent = (card.querySelector("h3, h2") || card).textContent.trim();
    byId("stage-place").textContent = dialog.dataset.place.replace("{k}", all.indexOf(figure) + 1).replace("{n}", all.length);
    copy(figure.querySelector("figcaption"), byId("stage-caption"));
    byId("stage-caption").querySelectorAll("a.open").forEach((one) => one.remove());
    const prompts = (home(figure) || figure).closest(".strip")?.querySelector(".prompts");
    if (prompts) copy(prompts, byId("stage-prompts")); else byId("stage-prompts").replaceChildren();
    sizes(figure);
    checks(figure);
    strip(figure);
    look();
  };
  const move = (step) => { const all = siblings(shown); show(all[(all.indexOf(shown) + step + all.length) % all.length]); };
  const jump = (step) => {
    const all = strips(shown), place = all.indexOf(shown.closest(".pairs")), row = all[(place + step + all.length) % all.length];
    const figures = [...row.querySelectorAll("figure.pair")];
    if (figures.length) show(figures[Math.min(siblings(shown).indexOf(shown), figures.length - 1)]);
  };
  // A round glass over the spot, with the picture in it four times as large as it is drawn around it.
  const magnify = (glass, image) => {
    const { clientWidth: width, clientHeight: height } = glass.parentElement, ratio = image.width && image.naturalWidth / image.naturalHeight;
    const drawn = ratio > width / height ? [width, width / ratio] : [height * ratio, height], around = [width, height].map((side, n) => (side - drawn[n]) / 2);
    const at = [width, height].map((side, n) => (spot[n] / 100) * side), half = glass.clientWidth / 2;
    glass.style.backgroundImage = `url("${image.currentSrc || image.src}")`;
    glass.style.backgroundSize = drawn.map((side) => `${ZOOM * side}px`).join(" ");
    glass.style.backgroundPosition = at.map((place, n) => `${half - ZOOM * (place - around[n])}px`).join(" ");
    [glass.style.left, glass.style.top] = at.map((place) => `${place}px`);
  };
  const look = () => {
    frames.style.setProperty("--mix", `${mix.value}%`);
    frames.style.setProperty("--part", String(mix.value / 100));
    for (const glass of lens.checked ? frames.querySelectorAll(".glass") : []) magnify(glass, glass.previousSibling);
    frames.classList.toggle("magnified", lens.checked);
  };
  const choose = (mode) => {
    modes.find((one) => one.value === mode).checked = true;
    frames.dataset.mode = mode;
    frames.classList.remove("still");
    dialog.querySelector(".mix").hidden = !["slider", "blend"].includes(mode);
  };
  const open = (figure, from) => {
    opener = from || document.activeElement;
    choose("side");
    show(figure);
    if (!dialog.open) dialog.showModal();
    dialog.querySelector("[name=close]").focus();
  };

  dialog.addEventListener("input", (event) => { if (event.target.name === "mode") choose(event.target.value); look(); });
  dialog.querySelector("[name=close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { if (opener?.isConnected) opener.focus(); });
  frames.addEventListener("pointermove", (event) => {
    const box = event.target.closest(".pane")?.getBoundingClientRect();
    if (!box || !lens.checked) return;
    spot = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((share) => Math.max(0, Math.min(100, 100 * share)));
    look();
  });
  const shift = (key) => {
    const [x, y] = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, -4], ArrowDown: [0, 4] }[key];
    spot = [spot[0] + x, spot[1] + y].map((value) => Math.max(0, Math.min(100, value)));
    look();
  };
  document.addEventListener("keydown", (event) => {
    if (!dialog.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = event.key.startsWith("Arrow");
    if (event.target.name === "mix" && arrow) return; // the slider's own keys
    const done = (act) => { act(); event.preventDefault(); };
    if (arrow && event.shiftKey && lens.checked) done(() => shift(event.key));
    else if (event.target.name === "mode" && arrow) return;
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") done(() => move(event.key === "ArrowLeft" ? -1 : 1));
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") done(() => jump(event.key === "ArrowUp" ? -1 : 1));
    else if ("12345".includes(event.key)) done(() => { choose(modes[event.key - 1].value); look(); });
    else if (event.key === "m" || event.key === "M") done(() => { lens.checked = !lens.checked; look(); });
    else if (event.key === " " && frames.dataset.mode === "blink" && event.target.tagName !== "BUTTON" && event.target.tagName !== "INPUT") done(() => frames.classList.toggle("still"));
  });
  document.addEventListener("click", (event) => {
    const figure = event.target.closest("figure.pair");
    if (!figure || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    if (!event.target.closest("a.open, a[data-role]")) return;
    event.preventDefault();
    open(figure, event.target.closest("a"));
  });
  return { open };
})();
