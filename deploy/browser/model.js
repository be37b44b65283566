// An exported artifact in the browser; its manifest gives the preprocessing and the classes.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
import { prepare } from "./prepare.js";

// More threads need headers that isolate the page from others (COOP and COEP).
if (!globalThis.crossOriginIsolated) ort.env.wasm.numThreads = 1;

/** @param {URL} url a file of the artifact; @param {(share: number) => void} onProgress */
async function download(url, onProgress = () => {}) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname} was not found (${response.status})`);
  const total = Number(response.headers.get("content-length"));
  const parts = [];
  let received = 0;
  for await (const part of chunks(response.body)) {
    parts.push(part);
    received += part.length;
    onProgress(total ? received / total : 0);
  }
  return new Blob(parts);
}

async function* chunks(stream) {
  const reader = stream.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}

const json = async (url) => JSON.parse(await (await download(url)).text());

export class Model {
  /** @param {string} folder of the artifact, relative to the page */
  static async open(folder) {
    const base = new URL(folder.endsWith("/") ? folder : `${folder}/`, document.baseURI);
    const read = (name) => json(new URL(name, base));
    const manifest = await read("manifest.json"); // first: the error for a missing folder names it
    const [labels, samples] = await Promise.all(["labels.json", "samples/expected.json"].map(read));
    return new Model(base, manifest, labels, samples);
  }

  constructor(base, manifest, labels, samples) {
    Object.assign(this, { base, manifest, labels, samples });
  }

  get precisions() {
    return Object.keys(this.manifest.precisions);
  }

  /** Download and start the file in one of `precisions`; `onProgress` gets the share received. */
  async load(precision, onProgress) {
    const { file } = this.manifest.precisions[precision];
    const content = await (await download(new URL(file, this.base), onProgress)).arrayBuffer();
    await this.session?.release();
    this.session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
    this.precision = precision;
  }

  sample(name) {
    return download(new URL(`samples/${name}`, this.base));
  }

  /** An image file's classes, most probable first, and the pixels that the network received. */
  async classify(file) {
    const { preprocessing, input } = this.manifest;
    const pixels = await prepare(file, preprocessing);
    const shape = [1, ...input.shape.slice(1)];
    const start = performance.now();
    const outputs = await this.session.run({
      [input.name]: new ort.Tensor("uint8", pixels, shape),
    });
    const milliseconds = performance.now() - start;
    const predictions = Array.from(outputs.probabilities.data, (probability, index) => ({
      label: this.labels[index],
      probability,
    })).sort((a, b) => b.probability - a.probability);
    return { predictions, pixels, milliseconds };
  }
}
