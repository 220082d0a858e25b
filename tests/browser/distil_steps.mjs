// node distil_steps.mjs ONNXRUNTIME_WEB PAGE MODEL JSON: the page's own modules, run without a browser.
//
// JSON: {seed, prompt, guidance, learningRate, strength, steps: {sds, ddim, sdedit}, taken,
// painting, mask, texts, first}. Prints the latents of each method after `taken` steps, and as `open`
// those of SDEdit with the mask, the texts' tokens, and SDEdit's first step for each [steps,
// strength] of `first`.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [, , runtime, page, model, given] = process.argv;
const module = (path) => import(pathToFileURL(path).href);
const ort = await module(join(runtime, "dist", "ort.wasm.min.mjs"));
const { Networks } = await module(join(page, "networks.js"));
const { METHODS, firstStep } = await module(join(page, "methods.js"));
const { Random } = await module(join(page, "random.js"));
const { continued, paintedLatents } = await module(join(page, "strokes.js"));

const asked = JSON.parse(await readFile(given, "utf8"));
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmBinary = await readFile(join(runtime, "dist", "ort-wasm-simd-threaded.wasm"));
const described = JSON.parse(await readFile(join(model, "model.json"), "utf8"));
const bytes = {};
for (const name of Object.keys(described.networks)) {
  bytes[name] = await readFile(join(model, `${name}.onnx`));
}
const networks = await Networks.load(ort, described, bytes);
const { size, schedule, tokenizer } = networks;
const predict = networks.predictor(await networks.condition(asked.prompt));
const answer = { tokens: asked.texts.map((text) => [...tokenizer.encode(text)]), latents: {} };
const painting = Float32Array.from(asked.painting);
const [whole, mask] = [new Float32Array(asked.mask.length).fill(1), Float32Array.from(asked.mask)];

async function draw(name, method, mask) {
  const steps = asked.steps[method];
  const random = new Random(asked.seed);
  const source = await networks.encode(continued(painting, mask));
  const painted = paintedLatents(mask, networks.shape);
  const { guidance, learningRate, strength } = asked;
  const shared = { predict, schedule, random, size, guidance, learningRate, strength };
  for await (const step of METHODS[method]({ ...shared, source, painted, steps })) {
    answer.latents[name] = [...step.latents];
    if (step.index + 1 === asked.taken) break;
  }
}

for (const method of Object.keys(METHODS)) await draw(method, method, whole);
await draw("open", "sdedit", mask);
answer.first = asked.first.map(([steps, strength]) => firstStep(steps, strength));
answer.image = [...(await networks.decode(Float32Array.from(answer.latents.ddim)))];
process.stdout.write(JSON.stringify(answer));
