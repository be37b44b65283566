// The network in a thread of its own, by ONNX Runtime Web, so that the page stays responsive.
import { fetchBytes } from "./run.js";

const FLAVOURS = {
  cpu: { build: "ort.wasm.min.mjs", binary: "ort-wasm-simd-threaded.wasm.gz", provider: "wasm" },
  gpu: { build: "ort.jspi.min.mjs", binary: "ort-wasm-simd-threaded.jspi.wasm.gz", provider: "webgpu" },
};

/** @type {any} */
let ort;
let provider = "wasm";
/** @type {any} */
let session;
/** @type {any} */
let about;

/** Whether WebGPU has a GPU here that is not software, and WebAssembly can wait for it. */
async function hasGpu() {
  const scope = /** @type {any} */ (globalThis);
  if (!scope.WebAssembly.Suspending) return false;
  const adapter = await scope.navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

/** The weights in float32, as the graph names their places: (weight, bias) of each layer.
 * @param {ArrayBuffer} buffer */
function dequantise(buffer) {
  const layers = about.layers.filter((/** @type {any} */ layer) => about.tensors[`${layer.name}.weight`]);
  const view = (/** @type {string} */ name, /** @type {any} */ Type) => {
    const { shape, offset } = about.tensors[name];
    return new Type(buffer, offset, shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b));
  };
  let length = 0;
  const parts = layers.map((/** @type {any} */ { name }) => {
    const weight = view(`${name}.weight`, Int8Array);
    const [scale, bias] = [view(`${name}.scale`, Float32Array), view(`${name}.bias`, Float32Array)];
    length += weight.length + bias.length;
    return { weight, scale, bias };
  });
  const blob = new Float32Array(length);
  let at = 0;
  for (const { weight, scale, bias } of parts) {
    const columns = weight.length / scale.length;
    for (let row = 0, from = 0; row < scale.length; row++) {
      const factor = scale[row];
      for (const end = from + columns; from < end; from++) blob[at++] = weight[from] * factor;
    }
    blob.set(bias, at);
    at += bias.length;
  }
  return new Uint8Array(blob.buffer);
}

/** Load the runtime of a device, while the page loads the run. @param {URL} page
 * @param {"cpu" | "gpu"} device */
async function load(device, page) {
  const { build, binary } = FLAVOURS[device];
  const folder = new URL("ort/", page);
  const wasm = fetchBytes(new URL(binary, folder));
  ort = await import(new URL(build, folder).href);
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1; // more need headers that a static server does not send
  ort.env.wasm.wasmBinary = await wasm;
  provider = FLAVOURS[device].provider;
  // The runtime compiles itself for its first session: one that has no model, while the weights
  // are still on their way.
  await ort.InferenceSession.create(new Uint8Array(), { executionProviders: [provider] }).catch(() => {});
}

/**
 * @param {Uint8Array} images (number, H, W, C) @param {number} number
 * @param {Record<string, {shape: number[], values: Float32Array}>} switches of the experiments
 * @param {string[]} outputs
 */
async function run(images, number, switches, outputs) {
  const { crop, channels } = about.preprocessing;
  const feeds = { images: new ort.Tensor("uint8", images, [number, crop, crop, channels]) };
  for (const [name, { shape, values }] of Object.entries(switches)) {
    Object.assign(feeds, { [name]: new ort.Tensor("float32", values, shape) });
  }
  const results = await session.run(feeds, outputs);
  return Object.fromEntries(outputs.map((name) => [name, results[name].data]));
}

/** @type {Record<string, (message: any) => Promise<any>>} */
const ACTIONS = {
  async load({ page, wants }) {
    const device = wants ?? ((await hasGpu()) ? "gpu" : "cpu");
    await load(device, new URL(page));
    return { device };
  },
  async start({ description, graph, tensors }) {
    about = description;
    session = await ort.InferenceSession.create(new Uint8Array(graph), {
      executionProviders: [provider],
      externalData: [{ path: "weights", data: dequantise(tensors) }],
    });
    return {};
  },
  async run({ images, number, switches, outputs }) {
    return { results: await run(images, number, switches, outputs) };
  },
};

let queue = Promise.resolve(); // a session runs one batch at a time
self.addEventListener("message", ({ data: { id, action, ...message } }) => {
  queue = queue.then(async () => {
    try {
      const answer = await ACTIONS[action](message);
      const owned = Object.values(answer.results ?? {}).map((values) => values.buffer);
      /** @type {any} */ (self).postMessage({ id, answer }, [...new Set(owned)]);
    } catch (error) {
      const text = String(/** @type {any} */ (error)?.message ?? error).split("\n")[0];
      self.postMessage({ id, error: text });
    }
  });
});
