// What if: the experiments on the network, as the switches of its graph.

/** @typedef {{text: string, undo: () => void}} Experiment */

export class Experiments {
  /** @type {Map<string, Set<number>>} muted channels by block */
  muted = new Map();
  /** @type {Set<string>} blocks whose ReLU is left out */
  withoutRelu = new Set();
  /** @type {Set<string>} poolings that take the mean */
  averaging = new Set();

  reset() {
    for (const each of [this.muted, this.withoutRelu, this.averaging]) each.clear();
  }

  /** Another object with the same experiments. */
  copy() {
    const copy = new Experiments();
    copy.muted = new Map([...this.muted].map(([block, channels]) => [block, new Set(channels)]));
    copy.withoutRelu = new Set(this.withoutRelu);
    copy.averaging = new Set(this.averaging);
    return copy;
  }

  get isEmpty() {
    return !this.withoutRelu.size && !this.averaging.size && !this.#numMuted();
  }

  #numMuted() {
    return [...this.muted.values()].reduce((sum, channels) => sum + channels.size, 0);
  }

  /** @param {string} block @param {number} channel */
  isMuted(block, channel) {
    return this.muted.get(block)?.has(channel) ?? false;
  }

  /** @param {string} block @param {number} channel */
  toggleMuted(block, channel) {
    const channels = this.muted.get(block) ?? new Set();
    this.muted.set(block, channels);
    if (!channels.delete(channel)) channels.add(channel);
  }

  /** @param {Set<string>} blocks `withoutRelu` or `averaging` @param {string} block */
  toggle(blocks, block) {
    if (!blocks.delete(block)) blocks.add(block);
  }

  /** The graph's switches that are on. @param {import("./run.js").Block[]} blocks */
  switches(blocks) {
    /** @type {Record<string, Float32Array>} */
    const on = {};
    for (const { name, output_shape: [channels] } of blocks) {
      const muted = this.muted.get(name);
      if (muted?.size) {
        on[`${name}.keep`] = new Float32Array(channels).fill(1);
        for (const channel of muted) on[`${name}.keep`][channel] = 0;
      }
      if (this.withoutRelu.has(name)) on[`${name}.slope`] = new Float32Array([1]);
      if (this.averaging.has(name)) on[`${name}.average`] = new Float32Array([1]);
    }
    return on;
  }

  /** @returns {Experiment[]} */
  list() {
    const muted = [...this.muted].flatMap(([block, channels]) =>
      [...channels].map((channel) => ({
        text: `${block}: ${unitName(block)} ${channel} is muted`,
        undo: () => this.toggleMuted(block, channel),
      })));
    const relus = [...this.withoutRelu].map((block) => ({
      text: `${block}: no ReLU`,
      undo: () => this.toggle(this.withoutRelu, block),
    }));
    const pools = [...this.averaging].map((block) => ({
      text: `${block}: average pooling in place of max`,
      undo: () => this.toggle(this.averaging, block),
    }));
    return [...muted, ...relus, ...pools];
  }
}

/** A channel of a fully connected layer is a unit. @param {string} block */
export const unitName = (block) => (block.startsWith("fc") ? "unit" : "channel");
