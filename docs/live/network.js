// The network as a column of its layers, each with its shape, its cost and its most active maps.
import { relativeChange } from "./arithmetic.js";
import { brightness, largestOf, paint, paintMap, paintPixels, signed } from "./draw.js";
import { el, fixed, grouped, megaflops, percent, times } from "./dom.js";
import { unitName } from "./experiments.js";
import { term } from "./terms.js";

/** @typedef {import("./run.js").Block} Block */
/** @typedef {import("./live.js").State} State */
/** @typedef {import("./live.js").Unit} Unit */

const NUM_MAPS = 12;
export const COLOURS = ["red", "green", "blue"];

/** @param {Block} block */
export const isSpatial = ({ output_shape: shape }) => shape.length === 3 && shape[1] * shape[2] > 1;
/** @param {Block} block the values of one channel */
export const areaOf = ({ output_shape: [, height = 1, width = 1] }) => height * width;

/** The block that the page shows for the normalised picture. @param {import("./run.js").Run} run */
export function imageBlock({ size, channels }) {
  const shape = [channels, size, size];
  return /** @type {Block} */ ({
    name: "image", kind: "image", relu: false, input: "", input_shape: shape,
    output_shape: shape, receptive_field: 1, receptive_field_stride: 1, receptive_field_start: 0,
    parameters: 0, macs: 0,
  });
}

export class NetworkView {
  /**
   * @param {HTMLElement} place @param {Block[]} blocks @param {string[]} classes
   * @param {{select: (unit: Partial<Unit> & {block: string}, from?: HTMLElement | null) => void,
   *   toggleRelu: (block: string) => void, toggleAverage: (block: string) => void}} actions
   */
  constructor(place, blocks, classes, actions) {
    this.classes = classes;
    this.cards = blocks.map((block) => new Card(block, blocks[0].output_shape[1], classes, actions));
    place.replaceChildren(...this.cards.map(({ element }) => element));
  }

  /** @param {State} state @param {boolean} reorder choose the most active channels anew */
  render(state, reorder) {
    for (const card of this.cards) card.render(state, reorder);
  }

  /** @param {string} name */
  card(name) {
    return this.cards.find(({ block }) => block.name === name)?.element;
  }
}

class Card {
  /** @param {Block} block @param {number} size of the picture @param {string[]} classes
   * @param {ConstructorParameters<typeof NetworkView>[3]} actions */
  constructor(block, size, classes, actions) {
    this.block = block;
    this.classes = classes;
    this.actions = actions;
    this.isLast = block.kind === "fc" && !block.relu;
    /** @type {number[]} the channels in the strip */
    this.shown = [];
    this.change = el("span", { className: "change term" });
    this.strip = el("div", { className: "strip", role: "group", "aria-label": `Maps of ${block.name}` });
    this.element = el(
      "article", { className: `block ${block.kind.replace(" ", "-")}`, id: `block-${block.name}` },
      el("header", {}, el("p", {}, el("h3", {}, block.name), ...describe(block)), this.change, this.#switches()),
      el("p", { className: "facts" }, ...facts(block, size), summedUp(block)),
      this.strip,
    );
    const number = Math.min(NUM_MAPS, block.output_shape[0]);
    this.buttons = Array.from({ length: number }, (_, k) => {
      const picture = isSpatial(block) ? el("canvas") : el("i", { className: "level" });
      const name = el("span", {});
      const button = el("button", { type: "button", className: "map" }, picture, name);
      button.addEventListener("click", (event) => {
        actions.select({ block: block.name, channel: this.shown[k] }, event.detail === 0 ? button : null);
      });
      return { button, picture, name };
    });
    if (!isSpatial(block)) this.#addGrid();
    this.strip.classList.toggle("classes", this.isLast && number <= NUM_MAPS);
    this.strip.append(...this.buttons.map(({ button }) => button));
  }

  /** All units of a layer as one picture; a click chooses one. */
  #addGrid() {
    const number = this.block.output_shape[0];
    if (number <= NUM_MAPS) return;
    this.columns = Math.ceil(Math.sqrt(number));
    this.grid = el("canvas", {
      className: "grid", role: "img",
      "aria-label": `All ${grouped(number)} units of ${this.block.name}; the strongest follow as buttons`,
    });
    this.grid.addEventListener("click", (event) => {
      const box = /** @type {HTMLCanvasElement} */ (this.grid).getBoundingClientRect();
      const columns = /** @type {number} */ (this.columns);
      const [x, y] = [event.clientX - box.left, event.clientY - box.top]
        .map((at) => Math.floor((at / box.width) * columns));
      const channel = y * columns + x;
      if (channel < number) this.actions.select({ block: this.block.name, channel });
    });
    this.strip.classList.add("beside");
    this.strip.append(this.grid);
  }

  #switches() {
    const { name, relu, kind } = this.block;
    if (relu) {
      const action = () => this.actions.toggleRelu(name);
      this.relu = toggle("ReLU", action, `ReLU: ${name}`);
      return this.relu;
    }
    if (kind === "max pool") {
      const action = () => this.actions.toggleAverage(name);
      this.pool = toggle("average instead", action, `average instead: ${name}`);
      return this.pool;
    }
    return null;
  }

  /** @param {State} state @param {boolean} reorder */
  render(state, reorder) {
    const { block } = this;
    const values = state.now[block.name];
    const area = areaOf(block);
    if (reorder || !this.shown.length) {
      const { length } = this.buttons; // of few channels all, in their order
      this.shown = block.output_shape[0] === length
        ? this.buttons.map((_, channel) => channel)
        : byActivation(block, state.base[block.name]).slice(0, length);
    }
    const { selection } = state;
    const isHidden = selection.block === block.name && !this.shown.includes(selection.channel);
    if (isHidden) this.shown[this.shown.length - 1] = selection.channel;
    const hasSign = values.some((value) => value < 0);
    const largest = largestOf(values);
    this.buttons.forEach(({ button, picture, name }, k) => {
      const channel = this.shown[k];
      const map = values.subarray(channel * area, (channel + 1) * area);
      const muted = state.experiments.isMuted(block.name, channel);
      if (picture instanceof HTMLCanvasElement) {
        if (block.kind === "image") this.#paintColour(picture, state, channel);
        else paintMap(picture, map, block.output_shape[2], largest, hasSign);
        name.textContent = block.kind === "image"
          ? (block.output_shape[0] === 1 ? "grey" : COLOURS[channel]) : String(channel);
      } else {
        const colour = (hasSign ? signed : brightness)(largest ? map[0] / largest : 0);
        picture.style.backgroundColor = `rgb(${colour.join(" ")})`;
        name.textContent = this.isLast ? this.classes[channel] : String(channel);
      }
      const mean = map.reduce((sum, value) => sum + value, 0) / area;
      button.setAttribute("aria-label", `${block.name}, ${unitName(block.name)} ` +
        `${name.textContent}${muted ? ", muted" : ""}: ${area > 1 ? "mean " : ""}${fixed(mean, 2)}`);
      button.classList.toggle("muted-map", muted);
      const isChosen = selection.block === block.name && selection.channel === channel;
      button.setAttribute("aria-pressed", String(isChosen));
    });
    if (this.grid && this.columns) {
      const { columns } = this;
      const colour = hasSign ? signed : brightness;
      paint(this.grid, columns, Math.ceil(values.length / columns), (i) =>
        i < values.length ? colour(largest ? values[i] / largest : 0) : [128, 128, 128]);
    }
    this.element.classList.toggle("chosen", state.selection.block === block.name);
    this.relu?.setAttribute("aria-pressed", String(!state.experiments.withoutRelu.has(block.name)));
    this.pool?.setAttribute("aria-pressed", String(state.experiments.averaging.has(block.name)));
    const change = state.hasExperiments ? relativeChange(state.base[block.name], values) : 0;
    this.change.textContent = state.hasExperiments ? `changed by ${percent(change)}` : "";
    this.change.dataset.term = "change";
    this.change.classList.toggle("none", change < 0.0005);
  }

  /** A colour of the picture as the network sees it, in that colour.
   * @param {HTMLCanvasElement} canvas @param {State} state @param {number} channel */
  #paintColour(canvas, state, channel) {
    const [channels, size] = this.block.output_shape;
    if (channels === 1) return paintPixels(canvas, state.pixels, size, 1);
    return paint(canvas, size, size, (i) =>
      [0, 1, 2].map((c) => (c === channel ? state.pixels[i * 3 + c] : 0)));
  }
}

/** A block's channels, that of the largest mean first. @param {Block} block @param {Float32Array} values */
export function byActivation(block, values) {
  const area = areaOf(block);
  const sums = Array.from({ length: block.output_shape[0] }, (_, channel) => {
    let sum = 0;
    for (let i = channel * area; i < (channel + 1) * area; i++) sum += values[i];
    return sum;
  });
  return sums.map((_, channel) => channel).sort((a, b) => sums[b] - sums[a]);
}

/** @param {string} text @param {() => void} action @param {string} label */
function toggle(text, action, label) {
  const button = el("button", { type: "button", className: "toggle", "aria-label": label }, text);
  button.addEventListener("click", action);
  return button;
}

/** @param {Block} block */
function describe({ kind, kernel, stride, padding, groups }) {
  const window = `${kernel} × ${kernel}`;
  if (kind === "conv") {
    return [
      term("convolution"), ` of ${window}, `, term("stride"), ` ${stride}, `, term("padding"),
      ` ${padding}`, groups > 1 ? `, in ${groups} groups` : "",
    ];
  }
  if (kind === "max pool") return [term("max pooling"), ` of ${window}, `, term("stride"), ` ${stride}`];
  if (kind === "fc") return [term("fully connected")];
  if (kind === "lrn") return [term("local response normalisation")];
  return [term("normalise", "normalised")];
}

/** Of a layer that the page computes with fewer weights than it has. @param {Block} block */
function summedUp({ kind, name, input_shape, output_shape: [units], macs }) {
  const inputs = input_shape.reduce((product, side) => product * side, 1);
  if (kind !== "fc" || inputs * units === macs) return "";
  return ` · computed here with ${grouped(inputs * units)} weights, which are sums of ${name}'s`;
}

/** @param {Block} block @param {number} size of the picture */
function facts({ kind, output_shape, parameters, macs, receptive_field: field }, size) {
  const shape = times(output_shape);
  if (kind === "image") return [`${shape} values`];
  const parts = [output_shape.length === 3 ? `${shape} values` : `${shape} `];
  if (output_shape.length === 1) parts.push(/** @type {any} */ (term("unit", "units")));
  if (parameters) parts.push(` · ${grouped(parameters)} `, /** @type {any} */ (term("parameter", "parameters")));
  if (macs) parts.push(` · `, /** @type {any} */ (term("MFLOP", megaflops(2 * macs))));
  parts.push(" · ", /** @type {any} */ (term("receptive field")), field === null ? ": all of the picture"
    : ` ${field} × ${field}${field > size ? ", with padding beyond the picture" : ""}`);
  return parts;
}
