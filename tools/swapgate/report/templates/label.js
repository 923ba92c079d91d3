"use strict";
// One picture at a time: what is shown comes from the server by number; an answer goes back with the seconds that it took.
const at = (id) => document.getElementById(id);
const answers = { yes: true, no: false, unsure: null };
const keys = { y: "yes", n: "no", u: "unsure", backspace: "back" };
const codes = { KeyY: "yes", KeyN: "no", KeyU: "unsure", Backspace: "back" };
let current = null, since = null, busy = true;

function say(text) {
  at("trouble").textContent = text;
  at("trouble").hidden = !text;
}

function enable(on) {
  busy = !on;
  for (const id of Object.keys(answers)) at(id).disabled = !on || current === null || current.number === null;
  at("back").disabled = !on || current === null || current.number === 0;
}

function show(state) {
  current = state;
  since = null;
  const over = state.number === null;
  at("progress").textContent = `${state.done} / ${state.total}`;
  at("bar").max = state.total;
  at("bar").value = state.done;
  at("work").hidden = over;
  at("done").hidden = !over;
  for (const [id, value] of Object.entries(answers)) at(id).setAttribute("aria-pressed", String(!over && state.answered && state.usable === value));
  if (over) {
    at("done").focus();
    enable(true);
    return;
  }
  at("prompt").textContent = state.prompt;
  at("prompt").lang = state.language === "zh" ? "zh-Hans" : state.language;
  at("picture").alt = `Picture ${state.number + 1} of ${state.total}`;
  at("picture").src = `image/${state.image}`;
  document.body.dataset.number = String(state.number);
}

at("picture").addEventListener("load", () => {
  since = performance.now();
  enable(true);
  if (current && current.ahead) new Image().src = `image/${current.ahead}`;
});
at("picture").addEventListener("error", () => {
  say("This picture could not be loaded; answer “unsure”. 图片无法加载，请选“不确定”。");
  enable(true);
});

async function ask(path, body) {
  enable(false);
  try {
    const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const reply = await fetch(path, { cache: "no-store", ...options });
    if (!reply.ok) throw new Error(await reply.text());
    const state = await reply.json();
    say("");
    show(state);
  } catch (error) {
    say(`The answer was not kept: start “swapgate label” again, all earlier answers are safe. 未能保存：请重新运行 swapgate label，之前的标注均已保存。 (${error.message})`);
    enable(true);
  }
}

function act(what) {
  if (busy || current === null) return;
  if (what === "back") {
    const number = current.number === null ? current.total : current.number;
    if (number > 0) ask(`state/${number - 1}`);
  } else if (current.number !== null) {
    const seconds = since === null ? null : (performance.now() - since) / 1000;
    ask("label", { number: current.number, usable: answers[what], seconds });
  }
}

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  // A Chinese input method says "Process" of a letter; the key itself is then what was meant.
  const what = event.key === "Process" || event.isComposing ? codes[event.code] : keys[event.key.toLowerCase()];
  if (!what) return;
  event.preventDefault();
  act(what);
});
for (const id of [...Object.keys(answers), "back"]) at(id).addEventListener("click", () => act(id));
ask("state");
