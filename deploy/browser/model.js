// The artifact in a browser: what it is and what it takes is read from its own files.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
import { prepare } from "./prepare.js";

// More threads need headers that isolate the page from others (COOP and COEP).
if (!globalThis.crossOriginIsolated) ort.env.wasm.numThreads = 1;

/** @param {URL} url a file of the artifact; @param {(share: number) => void} told of progress */
async function download(url, told = () => {}) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname} is not there (${response.status})`);
  const total = Number(response.headers.get("content-length"));
  const parts = [];
  let received = 0;
  for await (const part of chunks(response.body)) {
    parts.push(part);
    received += part.length;
    told(total ? received / total : 0);
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
    const manifest = await json(new URL("manifest.json", base)); // says first what is wrong
    const [labels, samples] = await Promise.all(
      ["labels.json", "samples/expected.json"].map((name) => json(new URL(name, base))),
    );
    return new Model(base, manifest, labels, samples);
  }

  constructor(base, manifest, labels, samples) {
    Object.assign(this, { base, manifest, labels, samples });
  }

  get precisions() {
    return Object.keys(this.manifest.precisions);
  }

  /** Download and start the file in one of `precisions`; `told` gets the share received. */
  async load(precision, told) {
    const { file } = this.manifest.precisions[precision];
    const content = await (await download(new URL(file, this.base), told)).arrayBuffer();
    await this.session?.release();
    this.session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
    this.precision = precision;
  }

  sample(name) {
    return download(new URL(`samples/${name}`, this.base));
  }

  /** What is in an image file: classes, the most probable first, and what the network saw. */
  async classify(file) {
    const { preprocessing, input } = this.manifest;
    const pixels = await prepare(file, preprocessing);
    const shape = [1, ...input.shape.slice(1)];
    const start = performance.now();
    const outputs = await this.session.run({
      [input.name]: new ort.Tensor("uint8", pixels, shape),
    });
    const milliseconds = performance.now() - start;
    const guesses = Array.from(outputs.probabilities.data, (probability, index) => ({
      label: this.labels[index],
      probability,
    })).sort((a, b) => b.probability - a.probability);
    return { guesses, pixels, milliseconds };
  }
}
