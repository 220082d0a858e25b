// The page: reads the form, asks the worker, and shows what it says.

import { Chart } from "./chart.js";
import { ERASER, PAINTS, Painting } from "./painting.js";
import { isEmpty } from "./strokes.js";

const NAMES = { sds: "SDS", ddim: "DDIM", sdedit: "SDEdit" };
const LEARNING_RATE = 0.05; // of `distillery.methods.settings` on tiny-sd
const DEVICES = { webgpu: "the graphics card", wasm: "the processor" };
const TOLD_EVERY = 10; // steps; a screen reader should not be kept busy

const at = (id) => document.getElementById(id);
const chart = new Chart(at("loss"));
const painting = new Painting(at("painting"));
let worker = null;
let run = 0;
let state = "idle"; // or "running", "paused"
let begun = {}; // what the run draws
let words = { things: [], colours: [], scenes: [], plain: [] };

// ---- the form -------------------------------------------------------------------------------

async function showWords() {
  ({ words } = await (await fetch("model/model.json")).json());
  const titles = { things: "Things", colours: "Colours", scenes: "Places" };
  for (const [kind, title] of Object.entries(titles)) {
    const group = document.createElement("div");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", title);
    for (const word of words[kind]) {
      const button = document.createElement("button");
      [button.type, button.textContent] = ["button", word];
      button.addEventListener("click", () => compose(kind, word));
      group.append(button);
    }
    at("words").append(group);
  }
  markWords();
}

const holds = (prompt, word) => ` ${prompt.toLowerCase()} `.includes(` ${word} `);
const inPrompt = (kind) => words[kind].find((word) => holds(at("prompt").value, word));

function compose(kind, word) {
  const [thing, colour, scene] = ["things", "colours", "scenes"].map((other) =>
    other === kind ? word : inPrompt(other),
  );
  const noun = `${colour ?? ""} ${thing ?? words.things[0]}`.trim();
  const article = /^[aeiou]/.test(noun) ? "an" : "a";
  at("prompt").value = `${article} ${noun} ${scene ?? ""}`.trim();
  markWords();
}

/** Press down the buttons of words in the prompt, and name those that the model does not know. */
function markWords() {
  const prompt = at("prompt").value;
  for (const button of at("words").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", holds(prompt, button.textContent));
  }
  const known = new Set(words.plain);
  for (const kind of ["things", "colours", "scenes"]) {
    for (const phrase of words[kind]) phrase.split(" ").forEach((word) => known.add(word));
  }
  const others = (prompt.toLowerCase().match(/\p{L}+/gu) ?? []).filter((word) => !known.has(word));
  at("unknown").textContent =
    known.size && others.length
      ? `The model does not know: ${[...new Set(others)].join(", ")}. ` +
        "It draws something of its own world."
      : "";
}

function showPaints() {
  const group = document.createElement("div");
  for (const [name, colour] of Object.entries({ ...PAINTS, [ERASER]: "var(--unpainted)" })) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    const title = name === ERASER ? "nothing: an eraser" : name;
    Object.assign(input, { type: "radio", name: "paint", value: name, title });
    input.checked = name === painting.paint;
    input.setAttribute("aria-label", title);
    label.style.setProperty("--paint", colour);
    label.append(input);
    group.append(label);
    input.addEventListener("change", () => (painting.paint = name));
  }
  at("paints").append(group);
}

function asked() {
  const chosen = [...document.querySelectorAll("[name=method]:checked")].map(({ value }) => value);
  const number = (id) => Number(at(id).value);
  const steps = (method) => number(method === "sds" ? "steps" : "sampling");
  const { image, mask } = painting.content();
  return {
    type: "start",
    run,
    prompt: at("prompt").value,
    seed: number("seed"),
    guidance: number("guidance"),
    strength: number("strength"),
    learningRate: LEARNING_RATE,
    steps: Object.fromEntries(chosen.map((method) => [method, steps(method)])),
    painting: image,
    mask,
    device: at("device").value,
  };
}

// ---- the run --------------------------------------------------------------------------------

function start(event) {
  event.preventDefault();
  run += 1;
  const what = asked();
  if (!what.prompt.trim()) return say("Say in a few words what to draw.");
  if (!Object.keys(what.steps).length) return say("Choose at least one method.");
  if (what.steps.sdedit && isEmpty(what.mask)) {
    return say("Nothing is painted: paint something, or draw without SDEdit.");
  }
  begun = { ...what, done: {}, seconds: [] };
  chart.clear(what.steps.sds ?? 1);
  at("loss").setAttribute("aria-label", "Loss of SDS: no step yet");
  for (const method of Object.keys(NAMES)) forget(method);
  hire();
  worker.postMessage(what);
  become("running");
  say("Loading the model.");
}

/** Begin the worker and let it load the model, once. */
function hire() {
  if (worker) return;
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => data.run === run && heard[data.type](data);
  worker.onerror = () => failed("the worker could not be loaded");
  worker.postMessage({ type: "load", device: at("device").value });
}

function forget(method) {
  const canvas = at(method);
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  canvas.setAttribute("aria-label", `${NAMES[method]}: not started`);
  at(`${method}-step`).textContent = "";
}

const heard = {
  loading({ done, total }) {
    at("bar").value = done / total;
    say(`Loading the model: ${Math.round(done / 1e6)} of ${Math.round(total / 1e6)} MB.`);
  },
  loaded() {
    if (state !== "idle") return;
    at("bar").value = 0;
    say("The model is loaded: press Start.");
  },
  ready({ device, threads }) {
    at("bar").value = 0;
    const many = threads > 1 ? `${threads} threads` : "1 thread";
    begun.where = DEVICES[device] + (device === "wasm" ? `, ${many}` : "");
    say(`Runs on ${begun.where}.`);
  },
  step({ method, index, steps, loss, pixels, seconds }) {
    begun.done[method] = (index + 1) / steps;
    at(`${method}-step`).textContent = `${index + 1} of ${steps}`;
    if (pixels) show(method, pixels);
    if (loss !== undefined) chart.add(loss);
    if (index < 0) return;
    begun.seconds.push(seconds);
    const done = Object.values(begun.done).reduce((sum, share) => sum + share, 0);
    at("bar").value = done / Object.keys(begun.steps).length;
    if (begun.seconds.length % TOLD_EVERY !== 1) return;
    if (loss !== undefined) {
      const words = `Loss of SDS: ${loss.toPrecision(3)} at step ${index + 1} of ${steps}`;
      at("loss").setAttribute("aria-label", words);
    }
    if (state === "running") say(`Drawing on ${begun.where}: ${pace()}.`);
    const where = `${NAMES[method]} after ${index + 1} of ${steps} steps: ${begun.prompt}`;
    at(method).setAttribute("aria-label", where);
  },
  finished() {
    for (const method of Object.keys(begun.steps)) {
      at(method).setAttribute("aria-label", `${NAMES[method]}, finished: ${begun.prompt}`);
    }
    become("idle");
    say(`Done on ${begun.where}: ${begun.seconds.length} steps, ${pace()}.`);
  },
  error: ({ text }) => failed(text),
};

function pace() {
  const mean = begun.seconds.reduce((a, b) => a + b, 0) / begun.seconds.length;
  return `${mean.toFixed(2)} s a step`;
}

function failed(text) {
  become("idle");
  say(`It stopped: ${text}. Reload the page to try again, or choose “the processor”.`);
}

/** Pixels (3, H, W) in [-1, 1] on a method's canvas. */
function show(method, pixels) {
  const canvas = at(method);
  const plane = canvas.width * canvas.height;
  const image = new ImageData(canvas.width, canvas.height);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = (pixels[c * plane + i] + 1) * 127.5;
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function become(next) {
  state = next;
  at("pause").disabled = next === "idle";
  at("pause").textContent = next === "paused" ? "Go on" : "Pause";
  at("start").textContent = next === "idle" ? "Start" : "Start again";
}

const say = (text) => (at("status").textContent = text);

at("form").addEventListener("submit", start);
// The model comes as soon as a reader touches the page, so that Start need not wait for it.
for (const touch of ["pointerdown", "keydown"]) addEventListener(touch, hire, { once: true });
at("pause").addEventListener("click", () => {
  const pausing = state === "running";
  worker.postMessage({ type: pausing ? "pause" : "resume" });
  become(pausing ? "paused" : "running");
  say(pausing ? "Paused." : `Drawing on ${begun.where ?? "your machine"}.`);
});
at("prompt").addEventListener("input", markWords);
at("brush").addEventListener("input", () => (painting.width = Number(at("brush").value)));
at("strength").addEventListener("input", () => {
  at("strength-shown").value = at("strength").value;
});
at("fill").addEventListener("click", () => painting.fill());
at("clear").addEventListener("click", () => painting.clear());
at("example").addEventListener("click", () => painting.example());
painting.onmove = (words) => (at("cursor").textContent = words);
showPaints();
showWords().catch(() => say("The model's files are missing beside this page."));
if (location.protocol === "file:") {
  say("A browser does not let a page on the disk load a model: serve this folder, for example " +
    "with python -m http.server.");
}
