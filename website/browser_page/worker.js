// Loads the model and runs the methods, away from the page, which so stays quick.
//
// Takes {type: "load", device}, {type: "start", ...} (see `draw`), "pause" and "resume". Says
// "loading", "loaded", "ready", "step", "finished" and "error", each with the number of the run.

import { METHODS } from "./methods.js";
import { Networks } from "./networks.js";
import { Random } from "./random.js";
import { continued, paintedLatents } from "./strokes.js";

const MOST_THREADS = 4; // the network is too small for more to help
const REDRAWN_EVERY = { sds: 2, ddim: 1, sdedit: 1 }; // steps
const RUNTIMES = {
  webgpu: { script: "ort.webgpu.bundle.min.js", binary: "ort-wasm-simd-threaded.asyncify.wasm" },
  wasm: { script: "ort.wasm.bundle.min.js", binary: "ort-wasm-simd-threaded.wasm" },
};

let current = 0; // the run whose steps are wanted
let turn = Promise.resolve(); // of the run before; only one uses the networks at a time
let paused = false;
let wake = () => {};
let loaded = null; // the promise of {networks, device, threads}
let loadedFor = null;

self.onmessage = ({ data }) => {
  const failed = (error) => tell("error", { text: error?.message ?? String(error) });
  if (data.type === "load") networksOn(data.device).then(() => tell("loaded"), failed);
  if (data.type === "start") {
    current = data.run;
    turn = turn.then(() => draw(data)).catch(failed);
  }
  paused = data.type === "pause";
  if (!paused) wake();
};

const tell = (type, more = {}) => self.postMessage({ type, run: current, ...more });

/** Lets messages in, and waits while the run is paused. */
async function breathe() {
  await new Promise((resolve) => setTimeout(resolve));
  while (paused) await new Promise((resolve) => (wake = resolve));
}

/**
 * @param asked {run, prompt, seed, guidance, learningRate, strength, painting, mask, device, and
 *   steps: method -> steps}; a method without steps is left out
 */
async function draw(asked) {
  const wanted = () => current === asked.run;
  const { networks, device, threads } = await networksOn(asked.device);
  if (!wanted()) return;
  tell("ready", { device, threads });
  const { size, schedule } = networks;
  const predict = networks.predictor(await networks.condition(asked.prompt));
  const { painting, mask } = asked;
  const source = asked.steps.sdedit ? await networks.encode(continued(painting, mask)) : null;
  const painted = paintedLatents(mask, networks.shape);
  const ways = Object.entries(asked.steps).map(([method, steps]) => {
    const random = new Random(asked.seed);
    const { guidance, learningRate, strength } = asked;
    const shared = { predict, schedule, random, size, guidance, learningRate, strength };
    return { method, done: -1, way: METHODS[method]({ ...shared, source, painted, steps }) };
  });
  for (let left = ways; left.length && wanted(); left = left.filter((its) => its.done < 1)) {
    // The one that is furthest behind, so that all end together.
    const next = left.reduce((a, b) => (b.done < a.done ? b : a));
    const began = performance.now();
    const { value: step } = await next.way.next();
    const seconds = (performance.now() - began) / 1000;
    next.done = (step.index + 1) / step.steps;
    const { method } = next;
    const drawn = next.done === 1 || (step.index + 1) % REDRAWN_EVERY[method] === 0;
    const pixels = drawn ? await networks.decode(step.shown) : null;
    await breathe();
    if (wanted()) tell("step", { method, ...step, shown: null, pixels, seconds });
  }
  if (wanted()) tell("finished");
}

/** The networks on a device, loaded once. */
function networksOn(device) {
  if (loadedFor !== device) {
    loadedFor = device;
    loaded = load(device);
    loaded.catch(() => (loadedFor = null)); // so that another try loads anew
  }
  return loaded;
}

/** Load for "auto", "webgpu" or "wasm"; "auto" takes WebGPU where there is a card that does it. */
async function load(device) {
  const adapter = device === "wasm" ? null : await navigator.gpu?.requestAdapter().catch(() => null);
  // One that only imitates a card on the processor is slower than the processor itself.
  const imitated = adapter?.info?.isFallbackAdapter ?? adapter?.isFallbackAdapter;
  if (adapter && (device === "webgpu" || !imitated)) {
    try {
      return await loadOn("webgpu");
    } catch (error) {
      if (device === "webgpu") throw error;
    }
  }
  if (device === "webgpu") throw new Error("this browser offers no WebGPU");
  return loadOn("wasm");
}

async function loadOn(device) {
  const runtime = RUNTIMES[device];
  const threads = self.crossOriginIsolated
    ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1)
    : 1; // without isolation there is no memory that threads can share
  const [described, files] = await Promise.all([json("model/model.json"), json("files.json")]);
  const names = Object.keys(described.networks);
  const paths = [`ort/${runtime.binary}`, ...names.map((name) => `model/${name}.onnx`)];
  const contents = await download(paths, files);
  const ort = await import(`./ort/${runtime.script}`);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmBinary = contents[0];
  const bytes = Object.fromEntries(names.map((name, i) => [name, contents[i + 1]]));
  const networks = await Networks.load(ort, described, bytes, { executionProviders: [device] });
  const predict = networks.predictor(await networks.condition(""));
  await predict(new Float32Array(networks.size), 500); // fails here where it would fail later
  return { networks, device, threads };
}

async function reply(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} could not be loaded (${response.status})`);
  return response;
}

const json = async (path) => (await reply(path)).json();

/** The contents of files, in their order, told of as they come. */
async function download(paths, sizes) {
  const total = paths.reduce((sum, path) => sum + sizes[path], 0);
  let done = 0;
  const one = async (path) => {
    const [reader, whole] = [(await reply(path)).body.getReader(), new Uint8Array(sizes[path])];
    for (let at = 0; ; ) {
      const { value, done: ended } = await reader.read();
      if (ended && at === whole.length) return whole;
      if (ended || at + value.length > whole.length) throw new Error(`${path} is not whole`);
      whole.set(value, at);
      at += value.length;
      done += value.length;
      tell("loading", { done, total });
    }
  };
  return Promise.all(paths.map(one));
}
