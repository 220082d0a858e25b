// AdamW (Loshchilov and Hutter 2019) without weight decay and with PyTorch's constants, and the
// learning rate of a distillation, as in distillery/runs/training.py.

const [BETA1, BETA2, EPSILON] = [0.9, 0.999, 1e-8];

export class AdamW {
  /** @param {Float32Array} values what is optimised; changed in place */
  constructor(values) {
    this.values = values;
    this.mean = new Float32Array(values.length);
    this.square = new Float32Array(values.length);
    this.count = 0;
  }

  step(gradient, learningRate) {
    this.count += 1;
    const size = learningRate / (1 - BETA1 ** this.count);
    const correction = Math.sqrt(1 - BETA2 ** this.count);
    for (let i = 0; i < gradient.length; i++) {
      this.mean[i] += (1 - BETA1) * (gradient[i] - this.mean[i]);
      this.square[i] = BETA2 * this.square[i] + (1 - BETA2) * gradient[i] ** 2;
      this.values[i] -= (size * this.mean[i]) / (Math.sqrt(this.square[i]) / correction + EPSILON);
    }
  }
}

/** A rise in a line to the peak at step `warmup`, then half a cosine down towards zero. */
export function warmupCosine(index, steps, warmup, peak) {
  if (index < warmup) return (peak * (index + 1)) / warmup;
  const progress = (index - warmup) / Math.max(1, steps - warmup);
  return (peak * (1 + Math.cos(Math.PI * progress))) / 2;
}
