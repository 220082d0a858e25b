// The noise schedule of Stable Diffusion, as in distillery/models/schedule.py.

export class Schedule {
  /** @param described model.json's "schedule" */
  constructor({ timesteps, beta_start, beta_end, steps_offset }) {
    this.offset = steps_offset;
    this.alphaBars = new Float32Array(timesteps);
    const [first, last] = [Math.sqrt(beta_start), Math.sqrt(beta_end)];
    let product = 1;
    for (let t = 0; t < timesteps; t++) {
      const beta = (first + ((last - first) * t) / (timesteps - 1)) ** 2;
      product *= 1 - beta;
      this.alphaBars[t] = product;
    }
  }

  /** alpha_bar of a timestep: the share of the picture in the variance of the noised picture. */
  alphaBar(t) {
    return this.alphaBars[t];
  }

  /** DDIM's way from noise to a picture: steps + 1 falling timesteps, the last one 0. */
  timesteps(steps) {
    const apart = Math.floor(this.alphaBars.length / steps);
    const way = Array.from({ length: steps }, (_, i) => (steps - 1 - i) * apart + this.offset);
    return [...way, 0];
  }
}
