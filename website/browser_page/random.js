// The page's own random numbers, the same in every browser and in website/page_random.py.
//
// 32-bit numbers come from xoshiro128** (Blackman and Vigna 2021, arXiv 1805.01407), whose state is
// filled by splitmix32 from one seed. Normal numbers are made of two of them by Box and Muller's
// formula (1958), in float64, and are rounded to float32 once.

const rotated = (value, bits) => (value << bits) | (value >>> (32 - bits));

function* splitmix32(seed) {
  let state = seed | 0;
  for (;;) {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    yield mixed ^ (mixed >>> 15);
  }
}

export class Random {
  /** @param {number} seed a whole number from 0 to 2**32 - 1 */
  constructor(seed) {
    const filler = splitmix32(seed);
    this.state = Int32Array.from({ length: 4 }, () => filler.next().value);
  }

  /** A whole number from 0 to 2**32 - 1. */
  bits() {
    const s = this.state;
    const result = Math.imul(rotated(Math.imul(s[1], 5), 7), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotated(s[3], 11);
    return result;
  }

  /** A number between 0 and 1, neither of them. */
  uniform() {
    return (this.bits() + 0.5) / 2 ** 32;
  }

  /** A whole number from first to last, both included. */
  integer(first, last) {
    return first + Math.floor(this.uniform() * (last - first + 1));
  }

  /** Standard normal numbers, as many as asked for; of an odd count one is thrown away. */
  normal(count) {
    const drawn = new Float32Array(count);
    for (let i = 0; i < count; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(this.uniform()));
      const angle = 2 * Math.PI * this.uniform();
      drawn[i] = radius * Math.cos(angle);
      if (i + 1 < count) drawn[i + 1] = radius * Math.sin(angle);
    }
    return drawn;
  }
}
