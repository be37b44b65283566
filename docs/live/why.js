// Why this answer: what happens to the answer when a part is hidden, and which training images are near.
import { bestOf } from "./answer.js";
import { largestOf, paint, signed } from "./draw.js";
import { el, grouped, percent } from "./dom.js";
import { covered, squareSide } from "./picture.js";
import { term } from "./terms.js";

/** @typedef {import("./live.js").State} State */

const BATCH = 3; // images at a time, so that the reader's hand comes between
const STEPS = 9; // places of the square across the picture
const NUM_NEIGHBOURS = 6;

export class WhyView {
  /** @param {HTMLElement} place @param {import("./run.js").Run} run @param {import("./engine.js").Engine} engine
   * @param {HTMLImageElement} gallery */
  constructor(place, run, engine, gallery) {
    this.run = run;
    this.engine = engine;
    this.gallery = gallery;
    this.isStarted = false;
    const { number } = run.about.gallery;
    const { dimensions, variance, layer } = run.about.neighbours;
    this.square = squareSide(run.size);
    this.map = el("canvas", { role: "img", "aria-label": "How far the probability falls where the square hides the picture" });
    this.text = el("p", {}, "");
    this.neighbours = el("div", { className: "neighbours" });
    place.replaceChildren(
      el("h2", { id: "why-title" }, "4. Why this answer?"),
      el("div", { className: "two" },
        el("div", {}, el("h3", {}, "What the answer depends on"),
          el("div", { className: "occlusion" }, this.map),
          this.text,
          el("p", { className: "small muted" }, term("occlusion", "Occlusion"), `: a square of ${this.square} × ${this.square} pixels in the ` +
            `mean colour stands at ${STEPS * STEPS} places, and the network answers each time. Blue: without this part the ` +
            "class would be less probable. Orange: more probable.")),
        el("div", {}, el("h3", {}, "Training images that look alike to the network"),
          this.neighbours,
          el("p", { className: "small muted" }, "The ", term("nearest neighbour", "nearest neighbours"), ` in ${layer}, among ${grouped(number)} training images. ` +
            `Distances are between ${dimensions} `, term("principal component", "principal components"), `, which hold ${percent(variance)} of what ${layer} varies by.`))),
    );
  }

  /** @param {State} state */
  start(state) {
    this.isStarted = true;
    this.render(state, true);
  }

  /** @param {State} state @param {boolean} isDone */
  render(state, isDone) {
    this.turn = (this.turn ?? 0) + 1;
    if (!this.isStarted) return;
    this.text.textContent = "Computing …";
    this.map.classList.add("stale"); // of another picture
    if (!isDone) return;
    this.#showNeighbours(state);
    this.#occlude(state, this.turn);
  }

  /** @param {State} state @param {number} turn another picture ends it */
  async #occlude(state, turn) {
    const { size, channels, classes, blocks } = this.run;
    const best = bestOf(state.now.probabilities);
    const colour = this.run.mean.map((value) => Math.round(255 * value));
    const switches = state.experiments.switches(blocks);
    const side = this.square;
    // The square's middle goes from edge to edge.
    const starts = Array.from({ length: STEPS }, (_, k) => Math.round((k * size) / (STEPS - 1) - side / 2));
    const places = starts.flatMap((top) => starts.map((left) => ({ top, left, side })));
    const falls = new Float32Array(places.length);
    for (let first = 0; first < places.length; first += BATCH) {
      const some = places.slice(first, first + BATCH);
      const images = new Uint8Array(some.length * size * size * channels);
      some.forEach((square, k) => images.set(covered(state.pixels, size, colour, square), k * state.pixels.length));
      let outputs;
      try {
        outputs = await this.engine.run(images, some.length, switches, ["probabilities"]);
      } catch {
        return; // the next change says what is wrong
      }
      if (turn !== this.turn) return;
      for (let k = 0; k < some.length; k++) {
        falls[first + k] = state.now.probabilities[best] - outputs.probabilities[k * classes.length + best];
      }
    }
    this.#paint(state, falls);
    this.map.classList.remove("stale");
    const deepest = bestOf(falls);
    const before = state.now.probabilities[best];
    this.text.textContent = `${classes[best]}: ${percent(before)}. With the square at its worst place, ` +
      `${percent(before - falls[deepest])}.`;
    this.map.dataset.falls = Array.from(falls, (fall) => fall.toFixed(5)).join(" ");
    document.body.dataset.occluded = String(turn);
  }

  /** The picture in grey under the falls, smooth between the places.
   * @param {State} state @param {Float32Array} falls */
  #paint({ pixels }, falls) {
    const { size, channels } = this.run;
    const largest = Math.max(largestOf(falls), 0.02); // below, it is the same everywhere
    const at = (/** @type {number} */ y, /** @type {number} */ x) => {
      const [row, column] = [y, x].map((value) => ((value + 0.5) / size) * (STEPS - 1));
      const [top, left] = [row, column].map((value) => Math.min(Math.floor(value), STEPS - 2));
      const [down, right] = [row - top, column - left];
      const value = (/** @type {number} */ i, /** @type {number} */ j) => falls[(top + i) * STEPS + left + j];
      return (1 - down) * ((1 - right) * value(0, 0) + right * value(0, 1)) +
        down * ((1 - right) * value(1, 0) + right * value(1, 1));
    };
    paint(this.map, size, size, (i) => {
      const share = at(Math.floor(i / size), i % size) / largest;
      const own = pixels.subarray(i * channels, (i + 1) * channels);
      const grey = own.reduce((sum, value) => sum + value, 0) / channels;
      const strength = Math.min(Math.abs(share), 1) * 0.75;
      return signed(share).map((value) => grey + strength * (value - grey));
    });
  }

  /** @param {State} state */
  #showNeighbours(state) {
    if (!this.gallery.naturalWidth) return; // the page says so
    const { run } = this;
    const { size, columns, labels, number } = run.about.gallery;
    const { layer, dimensions } = run.about.neighbours;
    const mean = run.tensor("neighbours.mean");
    const components = run.tensor("neighbours.components");
    const scales = run.tensor("neighbours.components.scale");
    const values = state.now[layer].map((value, i) => value - mean[i]);
    const point = Array.from({ length: dimensions }, (_, d) => {
      let sum = 0;
      for (let i = 0; i < values.length; i++) sum += components[d * values.length + i] * values[i];
      return scales[d] * sum;
    });
    const points = run.tensor("neighbours.points");
    const distances = Array.from({ length: number }, (_, k) =>
      point.reduce((sum, value, d) => sum + (value - points[k * dimensions + d]) ** 2, 0));
    const order = distances.map((_, k) => k).sort((a, b) => distances[a] - distances[b]);
    this.neighbours.replaceChildren(...order.slice(0, NUM_NEIGHBOURS).map((k) => {
      const label = run.classes[labels[k]];
      const canvas = el("canvas", { role: "img", "aria-label": `A training image: ${label}`, width: size, height: size });
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
      context.drawImage(this.gallery, (k % columns) * size, Math.floor(k / columns) * size, size, size, 0, 0, size, size);
      return el("figure", { dataset: { image: String(k) } }, canvas, el("figcaption", {}, label));
    }));
  }
}
