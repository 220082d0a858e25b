// The three methods, each a generator that yields after every step. Latents are Float32Arrays.
//
// `predict(xt, t)` asks the network about latents at a timestep and gives two predictions of the
// noise in them: for the empty prompt and for the prompt.

import { AdamW, warmupCosine } from "./adamw.js";

export const SDS_TIMESTEPS = { smallest: 20, largest: 980 };

/** Classifier-free guidance (Ho and Salimans 2022). */
async function guidedNoise(predict, xt, t, guidance) {
  const [uncond, text] = await predict(xt, t);
  return uncond.map((value, i) => value + guidance * (text[i] - value));
}

/** x0 under noise of a level: sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps. */
export function addNoise(x0, eps, alphaBar) {
  const [signal, noise] = [Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar)];
  return x0.map((value, i) => signal * value + noise * eps[i]);
}

/** Score distillation sampling (DreamFusion, arXiv 2209.14988, equation 3), as reference/sds.py. */
export async function* sds({ predict, schedule, random, size, guidance, steps, learningRate }) {
  const x0 = random.normal(size);
  const optimiser = new AdamW(x0);
  yield { index: -1, steps, latents: x0, shown: x0 };
  for (let index = 0; index < steps; index++) {
    const t = random.integer(SDS_TIMESTEPS.smallest, SDS_TIMESTEPS.largest);
    const eps = random.normal(size);
    const alphaBar = schedule.alphaBar(t);
    const predicted = await guidedNoise(predict, addNoise(x0, eps, alphaBar), t, guidance);
    const gradient = predicted.map((value, i) => (1 - alphaBar) * (value - eps[i]));
    // The loss of `sds_loss`: half the squared distance to a target one gradient away.
    const loss = 0.5 * gradient.reduce((sum, value) => sum + value * value, 0);
    optimiser.step(gradient, warmupCosine(index, steps, Math.floor(steps / 10), learningRate));
    yield { index, steps, latents: x0, shown: x0, loss };
  }
}

/** Deterministic DDIM (Song et al. 2021, arXiv 2010.02502, equation 12 with sigma = 0). */
export async function* ddim({ random, size, ...given }) {
  yield* follow({ ...given, xt: random.normal(size), first: 0 });
}

/**
 * SDEdit (Meng et al. 2021, arXiv 2108.01073): noise a painting part of the way, sample back.
 *
 * Where `painted` is false, nothing was painted. The way then begins with pure noise; down to the
 * level of `strength` the painted part is the painting under noise, and the model draws the rest
 * from the prompt; from there on all of the picture is the model's. As in
 * distillery/methods/sdedit.py, after blended latent diffusion (Avrahami et al. 2022, arXiv
 * 2206.02779).
 *
 * @param source latents of the painting
 * @param painted for each number of them, whether it is the painting's
 */
export async function* sdedit({ random, size, source, painted, strength, ...given }) {
  const { schedule, steps } = given;
  const timesteps = schedule.timesteps(steps);
  const first = firstStep(steps, strength);
  const eps = random.normal(size);
  const noised = (index) => addNoise(source, eps, schedule.alphaBar(timesteps[index]));
  if (painted.every(Boolean)) {
    yield* follow({ ...given, xt: noised(first), first });
    return;
  }
  const withPaint = (index, others) => {
    const paint = noised(index);
    return others.map((value, i) => (painted[i] ? paint[i] : value));
  };
  const change = (index, xt) => (index <= first ? withPaint(index, xt) : xt);
  yield* follow({ ...given, xt: withPaint(0, eps), first: 0, change });
}

/** The index of the first of the last strength * steps steps; at least one step is taken. */
export function firstStep(steps, strength) {
  const wanted = strength * steps;
  const [down, up] = [Math.floor(wanted), Math.ceil(wanted)];
  // A half goes to the even number, as in Python's `round`.
  const isHalf = wanted - down === 0.5;
  const nearest = isHalf ? (down % 2 ? up : down) : Math.round(wanted);
  return steps - Math.max(1, nearest);
}

/** DDIM's steps from `first` on; `change` may put other latents in the place of a step's. */
async function* follow({ predict, schedule, guidance, steps, xt, first, change = (_, xt) => xt }) {
  const timesteps = schedule.timesteps(steps);
  const total = steps - first;
  yield { index: -1, steps: total, latents: xt, shown: xt };
  for (let i = first; i < steps; i++) {
    const eps = await guidedNoise(predict, xt, timesteps[i], guidance);
    const [now, next] = [schedule.alphaBar(timesteps[i]), schedule.alphaBar(timesteps[i + 1])];
    const [signal, noise] = [Math.sqrt(now), Math.sqrt(1 - now)];
    const x0 = xt.map((value, j) => (value - noise * eps[j]) / signal);
    xt = change(i + 1, addNoise(x0, eps, next));
    // On the way the estimate of the finished picture says more than the noisy one.
    yield { index: i - first, steps: total, latents: xt, shown: i + 1 < steps ? x0 : xt };
  }
}

export const METHODS = { sds, ddim, sdedit };
