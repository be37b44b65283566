// Arrays as pictures: a canvas has one pixel for each value, and CSS enlarges it.

/** @typedef {[number, number, number]} Colour */
// From nothing to the largest value: one hue, and the lightness grows evenly. The same in the dark.
const STOPS = [[13, 20, 33], [17, 66, 112], [0, 124, 178], [86, 187, 222], [253, 246, 214]];
// Below 0 and above it, from the middle on: colours that the colour-blind tell apart.
const NEGATIVE = [[246, 246, 242], [244, 182, 120], [213, 94, 0], [110, 44, 0]];
const POSITIVE = [[246, 246, 242], [142, 196, 226], [0, 114, 178], [0, 48, 88]];

/** @param {number[][]} stops @param {number} share in [0, 1] @returns {Colour} */
function mix(stops, share) {
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const from = Math.min(Math.floor(at), stops.length - 2);
  const [a, b] = [stops[from], stops[from + 1]];
  return /** @type {Colour} */ (a.map((value, c) => Math.round(value + (at - from) * (b[c] - value))));
}

const GAMMA = 0.7; // so that small values are told from 0
const TABLE = Array.from({ length: 256 }, (_, k) => mix(STOPS, k / 255));
const SIGNED = Array.from({ length: 511 }, (_, k) =>
  k < 255 ? mix(NEGATIVE, (255 - k) / 255) : mix(POSITIVE, (k - 255) / 255));

/** The colour of a value at or above 0. @param {number} share of the largest @returns {Colour} */
export const brightness = (share) => TABLE[Math.round(255 * Math.min(Math.max(share, 0), 1) ** GAMMA)];
/** The colour of a value with a sign. @param {number} share of the largest @returns {Colour} */
export const signed = (share) => SIGNED[255 + Math.round(255 * Math.min(Math.max(share, -1), 1))];

/**
 * Fill a canvas with width x height values.
 * @param {HTMLCanvasElement} canvas @param {number} width @param {number} height
 * @param {(index: number) => ArrayLike<number>} colourOf a value, by its number row by row
 */
export function paint(canvas, width, height, colourOf) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const colour = colourOf(i);
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = colour[c];
    image.data[4 * i + 3] = 255;
  }
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(image, 0, 0);
}

/** @param {HTMLCanvasElement} canvas @param {ArrayLike<number>} pixels (H, W, C) @param {number} size
 * @param {number} channels */
export function paintPixels(canvas, pixels, size, channels) {
  paint(canvas, size, size, (i) =>
    [0, 1, 2].map((c) => pixels[channels * i + (channels === 3 ? c : 0)]));
}

/**
 * A map, dark at 0 and light at `largest`; with values below 0, in two colours.
 * @param {HTMLCanvasElement} canvas @param {Float32Array} map @param {number} width
 * @param {number} largest @param {boolean} [hasSign]
 */
export function paintMap(canvas, map, width, largest, hasSign = false) {
  const colour = hasSign ? signed : brightness;
  paint(canvas, width, map.length / width, (i) => colour(largest > 0 ? map[i] / largest : 0));
}

/**
 * A filter of the picture's own channels as a picture: grey is 0, and its largest weight is black or
 * white.
 * @param {HTMLCanvasElement} canvas @param {Float32Array} weights (C, k, k) @param {number} channels
 */
export function paintFilter(canvas, weights, channels) {
  const area = weights.length / channels;
  const side = Math.sqrt(area);
  let largest = 1e-9;
  for (const weight of weights) largest = Math.max(largest, Math.abs(weight));
  const grey = (/** @type {number} */ weight) => 127.5 + (127.5 * weight) / largest;
  paint(canvas, side, side, (i) =>
    [0, 1, 2].map((c) => grey(weights[(channels === 3 ? c : 0) * area + i])));
}

/** The largest magnitude. @param {ArrayLike<number>} values */
export function largestOf(values) {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]));
  return largest;
}
