// One unit's arithmetic, written out: what the network computes for it, product by product.

/** @typedef {import("./run.js").Block} Block */
/**
 * @typedef {object} Products a weighted sum
 * @property {Float32Array} values of the window: (maps, kernel, kernel), or (inputs,)
 * @property {Float32Array} weights as many
 * @property {number} first map of the layer before in the window (of a group)
 * @property {number} side of the window; 1 for a fully connected layer
 * @property {number} top @property {number} left the window's place in the input; negative: padding
 * @property {number} sum of the products
 * @property {number} bias
 * @property {number} total the sum and the bias
 */

/**
 * A window of an input (C, H, W); places outside of it are `outside`.
 * @param {Float32Array} input @param {number[]} shape @param {{first: number, number: number,
 *   top: number, left: number, side: number, outside: number}} window
 */
export function windowOf(input, [, height, width], { first, number, top, left, side, outside }) {
  const values = new Float32Array(number * side * side).fill(outside);
  for (let c = 0; c < number; c++) {
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const [row, column] = [top + y, left + x];
        if (row < 0 || column < 0 || row >= height || column >= width) continue;
        values[(c * side + y) * side + x] = input[((first + c) * height + row) * width + column];
      }
    }
  }
  return values;
}

/**
 * A unit of a convolution or of a fully connected layer.
 * @param {import("./run.js").Run} run @param {Block} block @param {Float32Array} input of the block
 * @param {{channel: number, row: number, column: number}} unit
 * @returns {Products}
 */
export function products(run, block, input, { channel, row, column }) {
  const weights = run.weights(block.name, channel);
  const bias = run.bias(block.name, channel);
  let [first, side, top, left] = [0, 1, 0, 0];
  let values = input;
  if (block.kind === "conv") {
    side = block.kernel;
    top = row * block.stride - block.padding;
    left = column * block.stride - block.padding;
    const number = weights.length / side ** 2;
    first = firstMap(block, channel, number);
    values = windowOf(input, block.input_shape, { first, number, top, left, side, outside: 0 });
  }
  let sum = 0;
  for (let i = 0; i < weights.length; i++) sum += values[i] * weights[i];
  return { values, weights, first, side, top, left, sum, bias, total: sum + bias };
}

/** The first of the maps that a channel reads: in a convolution of several groups, its group's.
 * @param {Block} block @param {number} channel @param {number} number of maps that it reads */
export function firstMap({ groups, output_shape: [channels] }, channel, number) {
  return Math.floor((channel * groups) / channels) * number;
}

/**
 * The sums of a window's maps, the largest first.
 * @param {Products} products
 * @returns {{map: number, sum: number}[]} map: of the layer before
 */
export function sumsByMap({ values, weights, first, side }) {
  const area = side ** 2;
  const sums = Array.from({ length: weights.length / area }, (_, c) => {
    let sum = 0;
    for (let i = c * area; i < (c + 1) * area; i++) sum += values[i] * weights[i];
    return { map: first + c, sum };
  });
  return sums.sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
}

/**
 * A unit of a pooling: its window, and the largest value and the mean.
 * @param {Block} block @param {Float32Array} input
 * @param {{channel: number, row: number, column: number}} unit
 */
export function pooled(block, input, { channel, row, column }) {
  const { kernel: side, stride, padding } = block;
  const [top, left] = [row * stride - padding, column * stride - padding];
  const window = { first: channel, number: 1, top, left, side, outside: Number.NEGATIVE_INFINITY };
  const values = windowOf(input, block.input_shape, window);
  const inside = values.filter(Number.isFinite);
  const mean = inside.reduce((sum, value) => sum + value, 0) / inside.length;
  return { values, side, top, left, max: Math.max(...inside), mean };
}

/**
 * A value of a local response normalisation (the 2012 paper, section 3.3): each is divided by a
 * power of the squares of its neighbours in the channels beside. As in PyTorch and ONNX, alpha is
 * divided by the number of neighbours.
 * @param {Block} block @param {Float32Array} input
 * @param {{channel: number, row: number, column: number}} unit
 */
export function responseNormalised(block, input, { channel, row, column }) {
  const { size, alpha, beta, k } = /** @type {NonNullable<Block["lrn"]>} */ (block.lrn);
  const [channels, height, width] = block.input_shape;
  const at = (/** @type {number} */ c) => input[(c * height + row) * width + column];
  const first = Math.max(0, channel - Math.floor((size - 1) / 2));
  const last = Math.min(channels - 1, channel + Math.ceil((size - 1) / 2));
  let squares = 0;
  for (let c = first; c <= last; c++) squares += at(c) ** 2;
  const divisor = (k + (alpha / size) * squares) ** beta;
  return { value: at(channel), first, last, squares, divisor, result: at(channel) / divisor };
}

/**
 * Softmax of the logits: each class's power of e, and their sum. The largest logit is subtracted
 * first, which changes no probability and keeps the powers small.
 * @param {Float32Array} logits
 */
export function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return { largest, powers, sum, probabilities: powers.map((power) => power / sum) };
}

/**
 * The square of the picture that a unit depends on; null if it is all of it.
 * @param {Block} block @param {{row: number, column: number}} unit @param {number} size of the picture
 */
export function receptiveField(block, { row, column }, size) {
  const { receptive_field: side, receptive_field_start: start, receptive_field_stride: stride } = block;
  if (side === null) return null;
  const [top, left] = [start + row * stride, start + column * stride];
  const isWhole = top <= 0 && left <= 0 && top + side >= size && left + side >= size;
  return isWhole ? null : { top, left, side };
}

/** How far two arrays are apart, as a share of the first one's length. @param {Float32Array} before
 * @param {Float32Array} after */
export function relativeChange(before, after) {
  let [difference, length] = [0, 0];
  for (let i = 0; i < before.length; i++) {
    difference += (after[i] - before[i]) ** 2;
    length += before[i] ** 2;
  }
  return length ? Math.sqrt(difference / length) : difference ? 1 : 0;
}
