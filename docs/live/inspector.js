// A chosen map: its places, its filter, the patches that excite it most, and one unit's arithmetic.
import { firstMap, receptiveField } from "./arithmetic.js";
import { largestOf, paint, paintFilter, paintMap } from "./draw.js";
import { el, fixed, grouped } from "./dom.js";
import { unitName } from "./experiments.js";
import { COLOURS, areaOf, isSpatial } from "./network.js";
import { term } from "./terms.js";
import { valueOf, written } from "./written.js";

/** @typedef {import("./live.js").State} State */
/** @typedef {import("./run.js").Block} Block */
/** @typedef {Required<import("./live.js").Unit>} Unit */

const NUM_FILTERS = 8; // of the maps of the layer before, those with the largest weights
const NONE = 65535; // no image among the strongest

export class Inspector {
  /**
   * @param {HTMLElement} place @param {import("./run.js").Run} run
   * @param {(name: string) => Block} blockOf
   * @param {{select: (unit: Partial<Unit> & {block: string}) => void, mute: (block: string, channel: number) => void}} actions
   * @param {HTMLImageElement} gallery
   */
  constructor(place, run, blockOf, actions, gallery) {
    this.place = place;
    this.run = run;
    this.blockOf = blockOf;
    this.actions = actions;
    this.gallery = gallery;
    this.body = el("div");
    this.shown = "";
    /** @type {number | null} the map of the window */
    this.map = null;
  }

  /** @param {State} state @returns {{top: number, left: number, side: number} | null} the field */
  render(state) {
    const unit = state.selection;
    const block = this.blockOf(unit.block);
    const key = `${unit.block} ${unit.channel}`;
    this.unit = unit;
    if (key !== this.shown) {
      this.shown = key;
      this.map = null;
      this.#build(block, unit);
    }
    this.#update(block, state, unit);
    return receptiveField(block, unit, this.run.size);
  }

  /** What stays as long as the same map is chosen. @param {Block} block @param {Unit} unit */
  #build(block, { channel }) {
    const { run } = this;
    if (this.title?.dataset.block !== block.name) this.#buildHeader(block);
    const name = this.#nameOf(block, channel);
    this.value = el("strong", { dataset: { name: "unit" } });
    this.arithmetic = el("div", { className: "arithmetic" });
    this.mute?.setAttribute("aria-label", `Mute ${block.name} ${name}`);
    /** @type {HTMLElement} */ (this.title).textContent = `${block.name}: ${name}`;
    if (this.field) this.field.value = String(channel);
    this.body.replaceChildren(
      ...(isSpatial(block) ? [this.#mapPart(block, channel)] : []),
      ...(run.has(`${block.name}.patches`) ? this.#patchPart(block, channel) : []),
      el("h3", {}, isSpatial(block) ? "This unit's arithmetic" : "Its arithmetic"),
      el("p", { className: "value" }, "Its value: ", this.value),
      this.arithmetic,
      ...(block.kind === "conv" && block.input !== "image" ? this.#slices(block, channel) : []),
    );
  }

  /** The title and the controls: they stay, with the focus on them, while the channel changes.
   * @param {Block} block */
  #buildHeader(block) {
    this.title = el("h2", { tabIndex: -1, dataset: { block: block.name } });
    this.field = this.#chooser(block);
    this.mute = el("button", { type: "button", className: "toggle" }, "Mute");
    this.mute.addEventListener("click", () => this.actions.mute(block.name, this.unit?.channel ?? 0));
    this.mute.hidden = !block.relu;
    this.place.replaceChildren(el("header", {}, this.title, this.field, this.mute), this.body);
  }

  /** Any channel, by its number. @param {Block} block */
  #chooser(block) {
    const last = block.output_shape[0] - 1;
    if (block.name === "image" || (block.kind === "fc" && !block.relu)) return null;
    const field = el("input", {
      type: "number", min: "0", max: String(last), title: `Any ${unitName(block.name)}, 0 to ${last}`,
      "aria-label": `Number of the ${unitName(block.name)}, 0 to ${last}`,
    });
    field.addEventListener("change", () => {
      const wanted = Math.min(Math.max(Math.round(field.valueAsNumber), 0), last);
      if (Number.isFinite(wanted)) this.actions.select({ block: block.name, channel: wanted });
      field.value = String(this.unit?.channel);
    });
    return field;
  }

  /** @param {Block} block @param {number} channel */
  #nameOf(block, channel) {
    if (block.name === "image") return this.run.channels === 1 ? "grey" : COLOURS[channel];
    const isClass = block.kind === "fc" && !block.relu;
    return isClass ? this.run.classes[channel] : `${unitName(block.name)} ${channel}`;
  }

  /** The map, large, on which a unit is chosen. @param {Block} block @param {number} channel */
  #mapPart(block, channel) {
    const [, height, width] = block.output_shape;
    this.large = el("canvas", { role: "img", "aria-label": "The map" });
    this.before = el("canvas", { role: "img", "aria-label": "The map before the experiments" });
    this.cursor = el("i", { className: "cursor" });
    const spoken = el("p", { className: "hidden-text", "aria-live": "polite" });
    const box = el("div", {
      className: "large", tabIndex: 0, role: "application",
      "aria-label": "Choose a unit: point at it and click to keep it, or move with the arrow keys",
    }, this.large, this.cursor);
    const choose = (/** @type {number} */ row, /** @type {number} */ column) => {
      const inside = (/** @type {number} */ at, /** @type {number} */ n) => Math.min(Math.max(at, 0), n - 1);
      this.actions.select({
        block: block.name, channel, row: inside(row, height), column: inside(column, width),
      });
    };
    const point = (/** @type {PointerEvent} */ { clientX, clientY }) => {
      const { left, top, width: w, height: h } = box.getBoundingClientRect();
      choose(Math.floor(((clientY - top) / h) * height), Math.floor(((clientX - left) / w) * width));
    };
    let isKept = false; // by a click: else the unit under the pointer is shown
    box.addEventListener("pointermove", (event) => isKept || point(event));
    box.addEventListener("pointerdown", (event) => {
      point(event);
      isKept = !isKept;
    });
    box.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
      const step = steps[/** @type {keyof typeof steps} */ (event.key)];
      if (!step || !this.unit) return;
      event.preventDefault();
      choose(this.unit.row + step[0], this.unit.column + step[1]);
      const { row, column } = this.unit;
      spoken.textContent = `row ${row}, column ${column}: ${this.value?.textContent}`;
    });
    this.beforePart = el("figure", { className: "before" }, this.before, el("figcaption", {}, "before"));
    this.where = el("p", { className: "small" });
    return el("div", { className: "maps" }, spoken, box, this.beforePart,
      block.input === "image" && block.kind === "conv" ? this.#filter(block, channel) : null, this.where);
  }

  /** @param {Block} block @param {State} state @param {Unit} unit */
  #update(block, state, unit) {
    const values = state.now[block.name];
    const value = valueOf(block, values, unit);
    /** @type {HTMLElement} */ (this.value).textContent = fixed(value);
    const isMuted = state.experiments.isMuted(block.name, unit.channel);
    this.mute?.setAttribute("aria-pressed", String(isMuted));
    if (isSpatial(block)) this.#updateMap(block, state, unit);
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    const place = focused ? [.../** @type {HTMLElement} */ (this.arithmetic).querySelectorAll("button, summary")].indexOf(focused) : -1;
    const open = this.arithmetic?.querySelector("details")?.open;
    const chooseMap = (/** @type {number} */ map) => {
      this.map = map;
      this.#update(block, state, unit);
    };
    this.arithmetic?.replaceChildren(...written(this.run, block, state, unit, chooseMap, this.map));
    const details = this.arithmetic?.querySelector("details");
    if (details && open) details.open = true;
    if (place >= 0) {
      const again = this.arithmetic?.querySelectorAll("button, summary")[place];
      /** @type {HTMLElement | undefined} */ (again)?.focus();
    }
  }

  /** @param {Block} block @param {State} state @param {Unit} unit */
  #updateMap(block, state, { channel, row, column }) {
    const [, height, width] = block.output_shape;
    const area = areaOf(block);
    const part = (/** @type {Float32Array} */ values) => values.subarray(channel * area, (channel + 1) * area);
    const [map, before] = [state.now, state.base].map((outputs) => part(outputs[block.name]));
    const hasSign = [map, before].some((each) => each.some((value) => value < 0));
    const largest = Math.max(largestOf(map), largestOf(before));
    paintMap(/** @type {HTMLCanvasElement} */ (this.large), map, width, largest, hasSign);
    paintMap(/** @type {HTMLCanvasElement} */ (this.before), before, width, largest, hasSign);
    /** @type {HTMLElement} */ (this.beforePart).hidden = !state.hasExperiments;
    Object.assign(/** @type {HTMLElement} */ (this.cursor).style, {
      left: `${(100 * column) / width}%`, top: `${(100 * row) / height}%`,
      width: `${100 / width}%`, height: `${100 / height}%`,
    });
    const field = block.receptive_field;
    const size = field === null ? "all of the picture" : `${field} × ${field} pixels`;
    /** @type {HTMLElement} */ (this.where).replaceChildren(
      `Row ${row}, column ${column} of ${height} × ${width}. Its `, term("receptive field"), `, ${size}, `,
      receptiveField(block, { row, column }, this.run.size)
        ? "is outlined in the picture. Click to keep the unit, click again to move on."
        : "covers the whole picture, and what is beyond is padding.",
    );
  }

  /** @param {Block} block @param {number} channel */
  #filter(block, channel) {
    const canvas = el("canvas", { role: "img", "aria-label": `Its filter, ${block.kernel} × ${block.kernel}` });
    paintFilter(canvas, this.run.weights(block.name, channel), this.run.channels);
    return el("figure", { className: "filter" }, canvas, el("figcaption", {}, "its ", term("filter")));
  }

  /** The slices of a filter that reads many maps: those with the largest weights.
   * @param {Block} block @param {number} channel */
  #slices(block, channel) {
    const weights = this.run.weights(block.name, channel);
    const area = block.kernel ** 2;
    const number = weights.length / area;
    const first = firstMap(block, channel, number);
    const norms = Array.from({ length: number }, (_, c) => ({
      c, norm: Math.hypot(...weights.subarray(c * area, (c + 1) * area)),
    })).sort((a, b) => b.norm - a.norm).slice(0, NUM_FILTERS);
    const largest = largestOf(weights);
    const pictures = norms.map(({ c }) => {
      const canvas = el("canvas", { role: "img", "aria-label": `Weights of ${block.input} channel ${first + c}` });
      paintMap(canvas, weights.subarray(c * area, (c + 1) * area), block.kernel, largest, true);
      return el("figure", {}, canvas, el("figcaption", {}, String(first + c)));
    });
    return [
      el("h3", {}, "Its ", term("filter"), `: ${grouped(number)} slices of ${block.kernel} × ${block.kernel}`),
      el("p", { className: "small muted" }, `The slices with the largest weights, by the channel of ${block.input} ` +
        "that they read. Blue is positive, orange negative."),
      el("div", { className: "slices" }, ...pictures),
    ];
  }

  /** @param {Block} block @param {number} channel */
  #patchPart(block, channel) {
    const { run } = this;
    const { size, number, labels } = run.about.gallery;
    const [, count] = run.shape(`${block.name}.patches`);
    const places = run.tensor(`${block.name}.patches`);
    const peaks = run.row(`${block.name}.peaks`, channel);
    const own = block.receptive_field;
    const field = own === null || own >= size ? size : own; // the whole image, where it is as large
    const figures = Array.from({ length: count }, (_, k) => {
      const [image, row, column] = places.subarray((channel * count + k) * 3, (channel * count + k) * 3 + 3);
      if (image === NONE) return null;
      const label = run.classes[labels[image]];
      const canvas = el("canvas", { role: "img", "aria-label": `${label}, activation ${fixed(peaks[k], 2)}`, title: label });
      this.#paintPatch(canvas, block, image, row, column, field);
      return canvas;
    }).filter(Boolean);
    const what = field === size ? "images" : "patches";
    const title = el("h3", {}, `The ${figures.length} ${what} that excite it most`);
    if (!figures.length) return [el("p", {}, `None of ${grouped(number)} training images excites it.`)];
    return [
      title,
      el("div", { className: "patches" }, ...figures),
      el("p", { className: "small muted" }, `Of ${grouped(number)} training images, its `,
        term("activation"), ` there: ${fixed(peaks[0], 2)} to ${fixed(peaks[figures.length - 1], 2)}.`),
    ];
  }

  /** A unit's receptive field in an image of the gallery; grey outside of the image.
   * @param {HTMLCanvasElement} canvas @param {Block} block @param {number} image @param {number} row
   * @param {number} column @param {number} field */
  #paintPatch(canvas, block, image, row, column, field) {
    const { size, columns } = this.run.about.gallery;
    if (!this.gallery.naturalWidth) return;
    paint(canvas, field, field, () => [228, 228, 228]);
    const { receptive_field_start: start, receptive_field_stride: stride } = block;
    const [top, left] = field === size ? [0, 0] : [row, column].map((at) => start + at * stride);
    const [x, y] = [(image % columns) * size, Math.floor(image / columns) * size];
    const [fromX, fromY] = [Math.max(0, left), Math.max(0, top)];
    const [toX, toY] = [Math.min(size, left + field), Math.min(size, top + field)];
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.drawImage(this.gallery, x + fromX, y + fromY, toX - fromX, toY - fromY,
      fromX - left, fromY - top, toX - fromX, toY - fromY);
  }
}
