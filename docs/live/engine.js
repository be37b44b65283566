// The page's side of the worker that runs the network.
import { fetchBytes } from "./run.js";

/** @typedef {Record<string, Float32Array>} Outputs by block; and the probabilities */

const MAX_DIFFERENCE = 1e-3; // of a sample's probability: a GPU may compute something else
export const DEVICES = { cpu: "this device's processor (WebAssembly)", gpu: "this device's GPU (WebGPU)" };

export class Engine {
  /**
   * A network that runs: on the GPU if there is one, and on the processor if that fails.
   * @param {Promise<import("./run.js").Run>} opening
   * @param {(run: import("./run.js").Run) => Promise<{pixels: Uint8Array, probabilities: number[]}>} sampleOf
   * @param {"cpu" | "gpu"} [wants]
   * @returns {Promise<Engine>}
   */
  static async start(opening, sampleOf, wants) {
    const engine = new Engine();
    try {
      await engine.#start(opening, sampleOf, wants);
      return engine;
    } catch (error) {
      engine.worker.terminate();
      await opening; // a run that cannot be read fails on any device
      if (wants === "cpu" || engine.device === "cpu") throw error;
      const again = await Engine.start(opening, sampleOf, "cpu");
      again.note = `The GPU is not used: ${/** @type {Error} */ (error).message}.`;
      return again;
    }
  }

  constructor() {
    this.note = "";
    /** @type {"cpu" | "gpu" | undefined} */
    this.device = undefined;
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    /** @type {Map<number, {resolve: (answer: any) => void, reject: (error: Error) => void}>} */
    this.waiting = new Map();
    this.number = 0;
    /** @type {Error | undefined} after which nothing runs */
    this.failure = undefined;
    /** @type {import("./run.js").Run | undefined} */
    this.model = undefined;
    this.worker.addEventListener("message", ({ data: { id, answer, error } }) => {
      const { resolve, reject } = /** @type {any} */ (this.waiting.get(id));
      this.waiting.delete(id);
      if (error) reject(new Error(error));
      else resolve(answer);
    });
    this.worker.addEventListener("error", (event) => {
      event.preventDefault();
      const error = new Error(`the network's thread failed (${event.message || "it did not load"}); reload the page`);
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
      this.failure = error;
    });
  }

  /** Start, and compare what is computed for a sample with what the run states.
   * @param {Parameters<typeof Engine.start>[0]} opening @param {Parameters<typeof Engine.start>[1]} sampleOf
   * @param {"cpu" | "gpu"} [wants] */
  async #start(opening, sampleOf, wants) {
    const page = new URL("./", import.meta.url).href;
    const loading = this.ask("load", { page, wants }); // beside the run
    const run = await opening;
    this.model = run;
    const [graph, { device }] = await Promise.all([
      fetchBytes(new URL("network.onnx", run.base)), loading,
    ]);
    this.device = device;
    await this.ask("start", { description: run.about, graph, tensors: run.buffer });
    const sample = await sampleOf(run);
    const outputs = await this.run(sample.pixels, 1, {}, ["probabilities"]);
    const largest = Math.max(
      ...sample.probabilities.map((value, k) => Math.abs(value - outputs.probabilities[k])),
    );
    if (!(largest <= MAX_DIFFERENCE)) { // not >: NaN must not pass
      throw new Error("it computes other probabilities than the run states");
    }
  }

  /** @param {string} action @param {object} message @returns {Promise<any>} */
  ask(action, message) {
    if (this.failure) return Promise.reject(this.failure);
    const id = this.number++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, action, ...message });
    });
  }

  /**
   * @param {Uint8Array} images (number, H, W, C) @param {number} number
   * @param {Record<string, Float32Array>} changes of the graph's switches; the others are off
   * @param {string[]} [outputs] all blocks and the probabilities, unless named
   * @returns {Promise<Outputs>}
   */
  async run(images, number, changes = {}, outputs = undefined) {
    const { blocks } = /** @type {import("./run.js").Run} */ (this.model);
    const names = outputs ?? [...blocks.map(({ name }) => name), "probabilities"];
    const switches = { ...this.#off(), ...this.#tensors(changes) };
    const message = { images, number, switches, outputs: names };
    return (await this.ask("run", message)).results;
  }

  /** The switches of a network without experiments. */
  #off() {
    /** @type {Record<string, Float32Array>} */
    const off = {};
    for (const { name, kind, relu, output_shape: [channels] } of this.model?.blocks ?? []) {
      if (relu) {
        off[`${name}.keep`] = new Float32Array(channels).fill(1);
        off[`${name}.slope`] = new Float32Array(1);
      }
      if (kind === "max pool") off[`${name}.average`] = new Float32Array(1);
    }
    return this.#tensors(off);
  }

  /** @param {Record<string, Float32Array>} switches */
  #tensors(switches) {
    return Object.fromEntries(Object.entries(switches).map(([name, values]) => {
      const shape = name.endsWith(".keep") ? [values.length] : [];
      return [name, { shape, values }];
    }));
  }
}
