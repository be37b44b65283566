// Training seen backwards: conv1's filters and the curves, epoch by epoch.
import { el, percent } from "./dom.js";
import { paintFilter } from "./draw.js";
import { term } from "./terms.js";

const [WIDTH, HEIGHT] = [320, 150];
const NAMESPACE = "http://www.w3.org/2000/svg";

export class TrainingView {
  /** @param {HTMLElement} place @param {import("./run.js").Run} run */
  constructor(place, run) {
    this.run = run;
    this.history = run.about.history;
    const { epochs } = run.about.filters;
    this.epochs = epochs.length ? epochs : this.history.map((/** @type {any} */ row) => row.epoch);
    this.hasFilters = epochs.length > 0;
    const last = this.epochs.length - 1;
    this.slider = el("input", { type: "range", min: "0", max: String(last), value: String(last), id: "epoch" });
    this.slider.addEventListener("input", () => this.render());
    this.text = el("output", { htmlFor: "epoch" });
    this.filters = el("div", { className: "filters", role: "img" });
    const number = this.hasFilters ? run.shape("filters.scale")[1] : 0;
    this.canvases = Array.from({ length: number }, () => el("canvas"));
    this.filters.append(...this.canvases);
    this.curves = document.createElementNS(NAMESPACE, "svg");
    place.replaceChildren(
      el("h2", { id: "training-title" }, "5. How it got there: training, backwards"),
      el("p", {}, "Pull the slider to the left to undo the training", this.hasFilters && ": epoch 0 is before the first step",
        ". The curves say how ",
        "many images got the right label after each ", term("epoch"), "."),
      el("div", { className: "controls wide" }, el("label", { htmlFor: "epoch" }, "Epoch"), this.slider, this.text),
      el("div", { className: "two" }, el("div", {},
        el("h3", {}, `The ${number || run.shape("conv1.scale")[0]} filters of conv1`),
        this.hasFilters ? this.filters
          : el("p", {}, "This run kept no filters: train.filter_snapshots was 0, conv1 was frozen, or the run is an old one."),
        this.hasFilters && el("p", { className: "small muted" }, "Each filter is shown at its own full contrast: grey is 0.")),
      el("div", {}, el("h3", {}, "Accuracy"), this.curves,
        el("p", { className: "small muted" }, el("i", { className: "key validation" }), " ", term("validation image", "validation images"), ", ",
          el("i", { className: "key train" }), " training images, ", term("augmented"), " and so harder"))),
    );
    this.#drawCurves();
    this.render();
  }

  render() {
    const place = Number(this.slider.value);
    const epoch = this.epochs[place];
    const row = this.history.find((/** @type {any} */ row) => row.epoch === epoch);
    this.text.textContent = row
      ? `${epoch} of ${this.history.length}: ${percent(row.val_accuracy)} of the validation images`
      : "0: before the first step";
    this.slider.setAttribute("aria-valuetext", this.text.textContent);
    this.marker?.setAttribute("x1", String(this.#x(epoch)));
    this.marker?.setAttribute("x2", String(this.#x(epoch)));
    if (!this.hasFilters) return;
    const { run, canvases } = this;
    this.filters.setAttribute("aria-label", `conv1's filters at epoch ${epoch}`);
    const values = run.tensor("filters.weight");
    const area = values.length / this.epochs.length / canvases.length;
    canvases.forEach((canvas, k) => {
      const at = (place * canvases.length + k) * area;
      paintFilter(canvas, Float32Array.from(values.subarray(at, at + area)), run.channels);
    });
  }

  /** @param {number} epoch */
  #x(epoch) {
    return 4 + ((WIDTH - 8) * epoch) / this.history.length;
  }

  #drawCurves() {
    const add = (/** @type {string} */ tag, /** @type {Record<string, any>} */ attributes, text = "") => {
      const node = document.createElementNS(NAMESPACE, tag);
      for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
      node.textContent = text;
      this.curves.append(node);
      return node;
    };
    const y = (/** @type {number} */ accuracy) => 14 + (HEIGHT - 30) * (1 - accuracy);
    this.curves.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.curves.setAttribute("role", "img");
    const last = this.history.at(-1);
    this.curves.setAttribute("aria-label",
      `Accuracy by epoch; at the end ${percent(last.val_accuracy)} of the validation images`);
    for (const share of [0, 0.5, 1]) {
      add("line", { x1: 4, x2: WIDTH - 4, y1: y(share), y2: y(share), class: "rule" });
      add("text", { x: 6, y: y(share) - 3, class: "tick" }, `${100 * share} %`);
    }
    add("text", { x: WIDTH - 4, y: HEIGHT - 2, class: "tick end" }, `epoch ${this.history.length}`);
    for (const kind of ["train", "val"]) {
      const points = this.history.map((/** @type {any} */ row) =>
        `${this.#x(row.epoch).toFixed(1)},${y(row[`${kind}_accuracy`]).toFixed(1)}`);
      add("polyline", { points: points.join(" "), class: `curve ${kind === "val" ? "validation" : "train"}` });
    }
    this.marker = add("line", { y1: 14, y2: HEIGHT - 16, class: "marker" });
  }
}
