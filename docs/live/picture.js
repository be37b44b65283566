// The picture: the pixels that the reader gave, and what the experiments make of them.

/**
 * @typedef {object} Experiments on the picture
 * @property {number} right by how many pixels it is shifted @property {number} down
 * @property {{top: number, left: number, side: number} | null} hidden a square of the mean colour
 * @property {number} noise standard deviation of what is added to each pixel, of 255
 */

const NONE = { right: 0, down: 0, hidden: null, noise: 0 };

/** The side of a square that hides a part. @param {number} size of the picture */
export const squareSide = (size) => Math.max(2, Math.round(size / 4));

export class Picture {
  /** @param {number} size in pixels @param {1 | 3} channels @param {number[]} mean of pixel / 255 */
  constructor(size, channels, mean) {
    this.size = size;
    this.channels = channels;
    this.meanColour = mean.map((value) => Math.round(255 * value));
    /** @type {Uint8Array} */
    this.pixels = new Uint8Array(size * size * channels); // (H, W, C)
    this.given = this.pixels; // before anything is drawn
    /** @type {number | null} of `given`, if it is a test image */
    this.label = null;
    /** @type {Experiments} */
    this.experiments = { ...NONE };
  }

  /** End all experiments on the picture, and take back what was drawn on it. */
  reset() {
    Object.assign(this.experiments, NONE);
    this.pixels = this.given;
  }

  /** Begin with other pixels. @param {Uint8Array} pixels @param {number | null} label */
  give(pixels, label) {
    this.given = this.pixels = pixels;
    this.label = label;
  }

  get isDrawnOn() {
    return this.pixels !== this.given;
  }

  get hasExperiments() {
    const { right, down, hidden, noise } = this.experiments;
    return right !== 0 || down !== 0 || hidden !== null || noise !== 0;
  }

  /** An empty picture to draw on: black for grey images, else the mean colour. */
  blank() {
    const colour = this.channels === 1 ? [0] : this.meanColour;
    Object.assign(this.experiments, NONE);
    this.give(this.pixels.map((_, i) => colour[i % this.channels]), null);
  }

  /**
   * A dot of a brush with a soft edge.
   * @param {number} x in pixels; the first pixel's middle is 0.5 @param {number} y
   * @param {number} radius @param {number[]} colour of `channels` values
   */
  dot(x, y, radius, colour) {
    const { size, channels } = this;
    const pixels = Uint8Array.from(this.pixels); // who holds the old ones keeps them
    const [first, last] = [y - radius - 1, y + radius + 1].map(Math.floor);
    for (let row = Math.max(0, first); row <= Math.min(size - 1, last); row++) {
      for (let column = 0; column < size; column++) {
        const distance = Math.hypot(column + 0.5 - x, row + 0.5 - y);
        const cover = Math.min(Math.max(radius + 0.5 - distance, 0), 1);
        if (!cover) continue;
        for (let c = 0; c < channels; c++) {
          const at = (row * size + column) * channels + c;
          pixels[at] = Math.round(pixels[at] + cover * (colour[c] - pixels[at]));
        }
      }
    }
    this.pixels = pixels;
  }

  /** What the network gets: the pixels after the experiments. */
  seen() {
    const { right, down, hidden, noise } = this.experiments;
    let pixels = shifted(this.pixels, this.size, this.channels, right, down);
    if (hidden) pixels = covered(pixels, this.size, this.meanColour, hidden);
    return noise ? noisy(pixels, noise) : pixels;
  }
}

/** The picture moved; at the edge that comes free, its last pixels are repeated.
 * @param {Uint8Array} pixels @param {number} size @param {number} channels @param {number} right
 * @param {number} down */
function shifted(pixels, size, channels, right, down) {
  const result = new Uint8Array(pixels.length);
  const inside = (/** @type {number} */ at) => Math.min(Math.max(at, 0), size - 1);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const from = (inside(y - down) * size + inside(x - right)) * channels;
      result.set(pixels.subarray(from, from + channels), (y * size + x) * channels);
    }
  }
  return result;
}

/**
 * A copy with a square of one colour; parts of the square may lie outside.
 * @param {Uint8Array} pixels @param {number} size @param {number[]} colour
 * @param {{top: number, left: number, side: number}} square
 */
export function covered(pixels, size, colour, { top, left, side }) {
  const result = Uint8Array.from(pixels);
  for (let y = Math.max(0, top); y < Math.min(size, top + side); y++) {
    for (let x = Math.max(0, left); x < Math.min(size, left + side); x++) {
      result.set(colour, (y * size + x) * colour.length);
    }
  }
  return result;
}

/** The same noise each time, so that its strength alone changes what is seen.
 * @param {Uint8Array} pixels @param {number} deviation */
function noisy(pixels, deviation) {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
    return (state + 0.5) / 2 ** 32;
  };
  // Box and Muller (1958): a normal number of two even ones.
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return Uint8Array.from(pixels, (value) =>
    Math.min(Math.max(Math.round(value + deviation * normal()), 0), 255));
}
