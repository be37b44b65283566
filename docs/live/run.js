// The run that the page shows: its description, and its arrays in one file.

/**
 * @typedef {object} Block a row of the network: a layer with its ReLU, a pooling, or a normalisation
 * @property {string} name
 * @property {"conv" | "fc" | "max pool" | "lrn" | "image"} kind the last: the normalised picture
 * @property {boolean} relu whether a ReLU follows
 * @property {string} input the block whose output it takes, or "image"
 * @property {number[]} input_shape
 * @property {number[]} output_shape
 * @property {number} kernel @property {number} stride @property {number} padding
 * @property {number} groups
 * @property {number | null} receptive_field in pixels; null: the whole picture
 * @property {number} receptive_field_stride @property {number} receptive_field_start
 * @property {number} parameters @property {number} macs
 * @property {{size: number, alpha: number, beta: number, k: number}} [lrn]
 */

/** @typedef {Int8Array | Uint8Array | Uint16Array | Float32Array} Values */
const TYPES = { int8: Int8Array, uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array };
const SCHEMA = 1;

/**
 * A file's bytes; compressed ones (gzip) as they were. A server may have unpacked them already.
 * @param {URL} url @returns {Promise<ArrayBuffer>}
 */
export async function fetchBytes(url) {
  const name = url.pathname.split("/").pop();
  const response = await fetch(url).catch(() => {
    throw new Error(`${name} did not arrive; is the server still there?`);
  });
  if (!response.ok) throw new Error(`${name} was refused by the server (${response.status})`);
  const bytes = await response.arrayBuffer();
  const [first, second, method] = new Uint8Array(bytes, 0, Math.min(3, bytes.byteLength));
  if (!url.pathname.endsWith(".gz") || first !== 0x1f || second !== 0x8b || method !== 8) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer().catch(() => { throw damaged(url); });
}

/** @param {URL} url */
const damaged = (url) =>
  new Error(`${url.pathname.split("/").pop()} is damaged; build the folder anew with \`alexnet live\``);

export class Run {
  /** @param {URL} base the folder of run.json */
  static async open(base) {
    const read = (/** @type {string} */ name) => fetchBytes(new URL(name, base));
    const [text, tensors] = await Promise.all([read("run.json"), read("tensors.bin.gz")]);
    let description;
    try {
      description = JSON.parse(new TextDecoder().decode(text));
    } catch {
      throw damaged(new URL("run.json", base));
    }
    if (description.schema !== SCHEMA) {
      throw new Error(`this page reads runs of schema ${SCHEMA}, and run.json has ${description.schema}; ` +
        "build the folder anew with `alexnet live`");
    }
    return new Run(base, description, tensors);
  }

  /** @param {URL} base @param {any} description @param {ArrayBuffer} buffer */
  constructor(base, description, buffer) {
    this.base = base;
    this.buffer = buffer;
    this.about = description;
    /** @type {Block[]} */
    this.blocks = description.layers;
    /** @type {string[]} */
    this.classes = description.classes;
    /** @type {number} */
    this.size = description.preprocessing.crop;
    /** @type {1 | 3} */
    this.channels = description.preprocessing.channels;
    /** @type {number[]} */
    this.mean = description.mean;
    /** @type {number[]} */
    this.std = description.std;
  }

  /** @param {string} name */
  block(name) {
    const block = this.blocks.find((block) => block.name === name);
    if (!block) throw new Error(`the network has no layer ${name}`);
    return block;
  }

  /** @param {string} name */
  has(name) {
    return Object.hasOwn(this.about.tensors, name);
  }

  /** @param {string} name @returns {number[]} */
  shape(name) {
    return this.about.tensors[name].shape;
  }

  /** @param {string} name @returns {Values} a view of the array, row by row */
  tensor(name) {
    const { dtype, shape, offset } = this.about.tensors[name];
    const length = shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
    return new TYPES[/** @type {keyof TYPES} */ (dtype)](this.buffer, offset, length);
  }

  /**
   * One row of a float32 array, or of an int8 array with a scale for each row.
   * @param {string} name @param {number} index @param {string} [scale] the scales' name
   */
  row(name, index, scale) {
    const values = this.tensor(name);
    const rows = scale ? this.tensor(scale).length : this.shape(name)[0];
    const length = values.length / rows;
    const row = Float32Array.from(values.subarray(index * length, (index + 1) * length));
    if (scale) {
      const factor = this.tensor(scale)[index];
      for (let i = 0; i < length; i++) row[i] *= factor;
    }
    return row;
  }

  /** A unit's or a channel's weights: (inputs / groups, kernel, kernel) or (inputs,).
   * @param {string} block @param {number} channel */
  weights(block, channel) {
    return this.row(`${block}.weight`, channel, `${block}.scale`);
  }

  /** @param {string} block @param {number} channel */
  bias(block, channel) {
    return this.tensor(`${block}.bias`)[channel];
  }

  /** Pixels as the network takes them: normalised, (C, H, W).
   * @param {Uint8Array} pixels (H, W, C) */
  normalise(pixels) {
    const { channels } = this;
    const area = pixels.length / channels;
    const x = new Float32Array(pixels.length);
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < area; i++) {
        x[c * area + i] = (pixels[i * channels + c] / 255 - this.mean[c]) / this.std[c];
      }
    }
    return x;
  }
}
