// tiny-sd's four networks, run by onnxruntime-web. The same code runs in a browser and in Node.

import { Schedule } from "./schedule.js";
import { Tokenizer } from "./tokenizer.js";

const product = (shape) => shape.reduce((a, b) => a * b, 1);

export class Networks {
  /**
   * @param ort onnxruntime-web
   * @param described model.json
   * @param sessions network's name -> its inference session
   */
  constructor(ort, described, sessions) {
    Object.assign(this, { ort, sessions, shape: described.latent_shape });
    this.imageSize = described.image_size;
    this.size = product(this.shape);
    this.schedule = new Schedule(described.schedule);
    this.tokenizer = new Tokenizer(described.tokenizer);
  }

  /**
   * @param bytes network's name -> the content of its file
   * @param options for every session: where it runs
   */
  static async load(ort, described, bytes, options = {}) {
    const sessions = {};
    for (const [name, content] of Object.entries(bytes)) {
      sessions[name] = await ort.InferenceSession.create(content, options);
    }
    return new Networks(ort, described, sessions);
  }

  async #run(name, inputs) {
    const feeds = {};
    for (const [input, [type, data, shape]] of Object.entries(inputs)) {
      feeds[input] = new this.ort.Tensor(type, data, shape);
    }
    const [output] = Object.values(await this.sessions[name].run(feeds));
    return output;
  }

  /** What the UNet is told: the tokens of the empty prompt and of the prompt. */
  async condition(prompt) {
    const { tokenizer } = this;
    const ids = Int32Array.from([...tokenizer.encode(""), ...tokenizer.encode(prompt)]);
    return this.#run("text_encoder", { ids: ["int32", ids, [2, tokenizer.length]] });
  }

  /** The function that asks the UNet about one latent under both prompts, in one call. */
  predictor(condition) {
    return async (xt, t) => {
      const both = new Float32Array(2 * this.size);
      both.set(xt, 0);
      both.set(xt, this.size);
      const { data } = await this.#run("unet", {
        xt: ["float32", both, [2, ...this.shape]],
        t: ["float32", Float32Array.of(t, t), [2]],
        tokens: ["float32", condition.data, condition.dims],
      });
      return [data.slice(0, this.size), data.slice(this.size)];
    };
  }

  /** The picture of latents, (3, H, W) in [-1, 1] and a little beyond. */
  async decode(latents) {
    const inputs = { latents: ["float32", latents, [1, ...this.shape]] };
    return (await this.#run("vae_decoder", inputs)).data;
  }

  /** The latents of a picture (3, H, W) in [-1, 1]. */
  async encode(image) {
    const inputs = { image: ["float32", image, [1, 3, ...this.imageSize]] };
    return (await this.#run("vae_encoder", inputs)).data;
  }
}
