// Accept: the cells that are chosen make one command to copy. Nothing is accepted here; a page cannot write files.
(() => {
  const form = document.getElementById("accepting");
  if (!form) return;
  const boxes = [...form.querySelectorAll("[name=cell]")];
  const command = document.getElementById("command");
  const copy = form.querySelector("[name=copy]");
  const label = copy.textContent;
  const said = form.querySelector("[data-said]");
  const quoted = (text) => (/^[A-Za-z0-9_./=:@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

  const make = () => {
    const chosen = boxes.filter((box) => box.checked);
    const options = new Set(chosen.flatMap((box) => box.dataset.options.split("\n").filter(Boolean)));
    const plain = [...options].filter((option) => !option.startsWith("--reason="));
    const reason = [...options].some((option) => option.startsWith("--reason=")) ? [`--reason="${form.dataset.reason}"`] : [];
    const words = ["swapgate baselines accept", quoted(form.dataset.run), ...plain.map(quoted), ...reason, ...chosen.map((box) => quoted(box.value))];
    command.textContent = words.filter(Boolean).join(" ");
    form.querySelector(".made").hidden = !chosen.length;
    said.textContent = said.dataset.said.replace("{n}", chosen.length);
    copy.textContent = label;
  };
  const set = (on) => {
    for (const box of boxes) box.checked = on && !box.closest("li").hidden;
    make();
  };
  const select = () => getSelection().selectAllChildren(command);

  for (const box of boxes) box.hidden = false;
  form.querySelector(".tools").hidden = false;
  form.addEventListener("input", make);
  form.querySelector("[name=every]").addEventListener("click", () => set(true));
  form.querySelector("[name=none]").addEventListener("click", () => set(false));
  copy.addEventListener("click", async () => {
    select(); // where the clipboard is closed to the page the text is at least chosen
    try { await navigator.clipboard.writeText(command.textContent); copy.textContent = copy.dataset.done; } catch { copy.textContent = document.execCommand("copy") ? copy.dataset.done : label; }
  });
  make();
})();
