// From an image to its classes, by an artifact's files on one of this browser's devices.
import { Artifact } from "./artifact.js";
import { Engine, choices, findGpu } from "./engine.js";
import { checkSteps, prepare } from "./prepare.js";

export class Model {
  /** @param {string} folder of the artifact, relative to the page */
  static async open(folder) {
    const artifact = await Artifact.open(folder);
    const { preprocessing, precisions } = artifact.manifest;
    checkSteps(preprocessing);
    const labels = await artifact.readJson("labels.json");
    const rows = await artifact.readJson("samples/expected.json");
    const samples = await Promise.all(
      rows.map(async ({ file, true_label: trueLabel }) => {
        const image = new File([await artifact.read(`samples/${file}`)], file);
        return { image, trueLabel };
      }),
    );
    const gpu = await findGpu();
    return new Model({ artifact, labels, samples, gpu, choices: choices(precisions, gpu) });
  }

  constructor(parts) {
    Object.assign(this, parts);
  }

  /** Start one of `choices`, and compare what it computes with the artifact's samples. */
  async load(choice, onProgress) {
    const engine = await Engine.start(this.artifact, choice, onProgress);
    const samples = await this.#expected(choice.precision);
    try {
      await engine.check(samples);
    } catch (error) {
      await engine.stop();
      throw error;
    }
    await this.engine?.stop();
    Object.assign(this, { engine, choice, numChecked: samples.length });
  }

  /** Samples with the probabilities of a precision, those that every browser decodes alike. */
  async #expected(precision) {
    const name = precision === "fp32" ? "expected" : `expected.${precision}`;
    const compared = [];
    for (const { file, probabilities } of await this.artifact.readJson(`samples/${name}.json`)) {
      const sample = this.samples.find(({ image }) => image.name === file);
      if (!sample || !(await isPlain(sample.image))) continue;
      compared.push({
        pixels: await this.prepare(sample.image),
        probabilities: this.labels.map((label) => probabilities[label]),
      });
    }
    return compared;
  }

  prepare(file) {
    return prepare(file, this.artifact.manifest.preprocessing);
  }

  /** An image file's classes, most probable first, and the pixels that the network received. */
  async classify(file) {
    const pixels = await this.prepare(file);
    const start = performance.now();
    const probabilities = await this.engine.run(pixels);
    const milliseconds = performance.now() - start;
    if (!probabilities.every(Number.isFinite)) {
      throw new Error("The model answered with something that is no number");
    }
    const predictions = this.labels
      .map((label, index) => ({ label, probability: probabilities[index] }))
      .sort((a, b) => b.probability - a.probability);
    return { predictions, pixels, milliseconds };
  }
}

/** Whether a file is a PNG of 8 bits without transparency or a palette. */
async function isPlain(file) {
  const [depth, colour] = new Uint8Array(await file.slice(24, 26).arrayBuffer());
  return file.name.endsWith(".png") && depth === 8 && [0, 2].includes(colour);
}
