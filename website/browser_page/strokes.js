// A painting that leaves a part of the picture to the model, as in distillery/methods/strokes.py.

/**
 * The picture with colours of the paint nearby where there is none, as `continued` in
 * distillery/runs/painting_file.py: means of the painted colours, each weighted by a Gaussian of
 * its distance. So the painting's latents know of no edge where the paint ends.
 *
 * @param image (3, side, side) in [-1, 1]
 * @param mask (side, side) in [0, 1], 1 where there is paint; there must be some
 */
export function continued(image, mask) {
  if (isWhole(mask)) return image;
  const side = Math.sqrt(mask.length);
  const weight = blurred(mask, side);
  const planes = [0, 1, 2].map((c) => {
    const plane = image.subarray(c * mask.length, (c + 1) * mask.length);
    const near = blurred(plane.map((value, i) => mask[i] * value), side);
    return plane.map((value, i) => mask[i] * value + (1 - mask[i]) * (near[i] / weight[i]));
  });
  return Float32Array.from(planes.flatMap((plane) => [...plane]));
}

/** For each number of latents (C, h, w), whether it is the painting's: half its cell is painted. */
export function paintedLatents(mask, [channels, height, width]) {
  const side = Math.sqrt(mask.length);
  const [tall, wide] = [side / height, side / width];
  const shares = new Float64Array(height * width);
  mask.forEach((value, i) => {
    const [y, x] = [Math.floor(i / side / tall), Math.floor((i % side) / wide)];
    shares[y * width + x] += value / (tall * wide);
  });
  return Array.from({ length: channels * shares.length }, (_, i) => shares[i % shares.length] >= 0.5);
}

export const isWhole = (mask) => mask.every((value) => value === 1);
export const isEmpty = (mask) => mask.every((value) => value === 0);

/** Each number of (side, side) by the others', weighted by a Gaussian; in float64, not normed. */
function blurred(plane, side) {
  const sigma = side / 8;
  const near = Float64Array.from({ length: side }, (_, d) => Math.exp(-0.5 * (d / sigma) ** 2));
  const along = (values, stride) =>
    values.map((_, i) => {
      const place = Math.floor(i / stride) % side;
      const start = i - place * stride;
      let sum = 0;
      for (let j = 0; j < side; j++) sum += near[Math.abs(place - j)] * values[start + j * stride];
      return sum;
    });
  return along(along(Float64Array.from(plane), 1), side);
}
