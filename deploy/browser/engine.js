// The model on the processor or on the GPU, by ONNX Runtime Web.
import { download } from "./artifact.js";

const DIST = new URL("./node_modules/onnxruntime-web/dist/", import.meta.url);
const DEVICES = {
  cpu: {
    name: "processor (WebAssembly)",
    provider: "wasm",
    build: "ort.wasm.min.mjs",
    binary: "ort-wasm-simd-threaded.wasm",
  },
  gpu: {
    name: "GPU (WebGPU)",
    provider: "webgpu",
    build: "ort.webgpu.min.mjs",
    binary: "ort-wasm-simd-threaded.asyncify.wasm",
  },
};
// A precision is good if it loses at most this much accuracy: half a point.
export const MAX_ACCURACY_DROP = 0.005;
// Of a sample's probability, as in alexnet/inference/verification.py.
const MAX_DIFFERENCE = { fp32: 1e-4, fp16: 1e-2, int8: 5e-2 };

/** What WebGPU offers here: {float16}, and why it is not the first choice, if it is not. */
export async function findGpu() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return { reason: "WebGPU finds no GPU here" };
  const float16 = adapter.features.has("shader-f16");
  const isSoftware = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter;
  return { float16, reason: isSoftware ? "WebGPU has no GPU here, only software" : "" };
}

/**
 * What this browser can run, the best first: on the GPU if there is one, and of its precisions the
 * smallest file of a good one. int8 is for processors, float16 on a GPU needs its shader-f16.
 */
export function choices(precisions, gpu) {
  const runnable = { cpu: ["fp32", "fp16", "int8"], gpu: [] };
  if ("float16" in gpu) runnable.gpu = gpu.float16 ? ["fp32", "fp16"] : ["fp32"];
  const first = gpu.reason ? "cpu" : "gpu";
  const rank = (choice) => (choice.device === first ? 0 : 2) + (choice.isGood ? 0 : 1);
  return Object.entries(runnable)
    .flatMap(([device, names]) =>
      names
        .filter((precision) => Object.hasOwn(precisions, precision))
        .map((precision) => ({ device, precision, ...precisions[precision] })),
    )
    .map((choice) => ({ ...choice, isGood: choice.accuracy_drop <= MAX_ACCURACY_DROP }))
    .sort((a, b) => rank(a) - rank(b) || a.bytes - b.bytes);
}

/** ONNX Runtime for a device; its WebAssembly is downloaded once. */
async function runtime(device, onProgress) {
  const { build, binary } = DEVICES[device];
  let ort;
  try {
    ort = await import(new URL(build, DIST));
  } catch {
    throw new Error("ONNX Runtime Web is not installed: run `npm ci` in this page's folder");
  }
  ort.env.logLevel = "error";
  // More threads need headers that isolate the page from others (COOP and COEP).
  if (!globalThis.crossOriginIsolated) ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary ??= await download(new URL(binary, DIST), onProgress);
  return ort;
}

export class Engine {
  /** Start a model file. onProgress(name, received, total) gets the bytes of the downloads. */
  static async start(artifact, { device, precision, file }, onProgress) {
    const progressOf = (name) => (received, total) => onProgress(name, received, total);
    const ort = await runtime(device, progressOf("ONNX Runtime"));
    const content = await artifact.read(file, progressOf(file));
    let session;
    try {
      session = await ort.InferenceSession.create(new Uint8Array(content), {
        executionProviders: [DEVICES[device].provider],
      });
    } catch (error) {
      throw new Error(`${file} does not run on the ${DEVICES[device].name}: ${firstLine(error)}`);
    }
    return new Engine(ort, session, artifact.manifest.input, device, precision);
  }

  constructor(ort, session, input, device, precision) {
    Object.assign(this, { ort, session, input, device, precision });
  }

  /** Probabilities of the classes for pixels of an image, uint8. */
  async run(pixels) {
    const shape = [1, ...this.input.shape.slice(1)];
    const feeds = { [this.input.name]: new this.ort.Tensor("uint8", pixels, shape) };
    const { probabilities } = await this.session.run(feeds, ["probabilities"]);
    return probabilities.data;
  }

  /**
   * Throw an error if samples come out otherwise than expected: a GPU's driver, or the runtime on
   * it, may compute something else without a word.
   * @param {{pixels: Uint8Array, probabilities: number[]}[]} samples
   */
  async check(samples) {
    for (const { pixels, probabilities: expected } of samples) {
      const computed = await this.run(pixels);
      const largest = Math.max(...expected.map((value, k) => Math.abs(value - computed[k])));
      if (!(largest <= MAX_DIFFERENCE[this.precision])) { // not >: NaN must not pass
        throw new Error(
          `the ${DEVICES[this.device].name} computes other probabilities than the artifact's samples ` +
          `have (by ${largest.toFixed(3)})`,
        );
      }
    }
  }

  stop() {
    return this.session.release();
  }
}

const firstLine = (error) => String(error.message ?? error).split("\n")[0].slice(0, 200);
