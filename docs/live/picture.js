// The picture: the pixels that the reader gave, and what the experiments make of them.

import { paintPixels } from "./draw.js";

/**
 * @typedef {object} Experiments on the picture
 * @property {number} right by how many pixels it is shifted @property {number} down
 * @property {{top: number, left: number, side: number} | null} hidden a square of the mean colour
 * @property {number} noise standard deviation of what is added to each pixel, of 255
 */

const NONE = { right: 0, down: 0, hidden: null, noise: 0 };

export class Picture {
  /** @param {number} size in pixels @param {1 | 3} channels @param {number[]} mean of pixel / 255 */
  constructor(size, channels, mean) {
    this.size = size;
    this.channels = channels;
    this.meanColour = mean.map((value) => Math.round(255 * value));
    /** @type {Uint8Array} */
    this.pixels = new Uint8Array(size * size * channels); // (H, W, C)
    /** @type {Experiments} */
    this.experiments = { ...NONE };
  }

  /** End all experiments on the picture. */
  reset() {
    Object.assign(this.experiments, NONE);
  }

  get hasExperiments() {
    const { right, down, hidden, noise } = this.experiments;
    return right !== 0 || down !== 0 || hidden !== null || noise !== 0;
  }

  /** An empty picture to draw on: black for grey images, else the mean colour. */
  blank() {
    const colour = this.channels === 1 ? [0] : this.meanColour;
    this.pixels = this.pixels.map((_, i) => colour[i % this.channels]);
  }

  /**
   * A dot of a brush with a soft edge.
   * @param {number} x in pixels; the first pixel's middle is 0.5 @param {number} y
   * @param {number} radius @param {number[]} colour of `channels` values
   */
  dot(x, y, radius, colour) {
    const { size, channels } = this;
    const pixels = Uint8Array.from(this.pixels); // who holds the old ones keeps them
    const [first, last] = [y - radius - 1, y + radius + 1].map(Math.floor);
    for (let row = Math.max(0, first); row <= Math.min(size - 1, last); row++) {
      for (let column = 0; column < size; column++) {
        const distance = Math.hypot(column + 0.5 - x, row + 0.5 - y);
        const cover = Math.min(Math.max(radius + 0.5 - distance, 0), 1);
        if (!cover) continue;
        for (let c = 0; c < channels; c++) {
          const at = (row * size + column) * channels + c;
          pixels[at] = Math.round(pixels[at] + cover * (colour[c] - pixels[at]));
        }
      }
    }
    this.pixels = pixels;
  }

  /** What the network gets: the pixels after the experiments. */
  seen() {
    const { right, down, hidden, noise } = this.experiments;
    let pixels = shifted(this.pixels, this.size, this.channels, right, down);
    if (hidden) pixels = covered(pixels, this.size, this.meanColour, hidden);
    return noise ? noisy(pixels, noise) : pixels;
  }
}

/** The picture moved; at the edge that comes free, its last pixels are repeated.
 * @param {Uint8Array} pixels @param {number} size @param {number} channels @param {number} right
 * @param {number} down */
function shifted(pixels, size, channels, right, down) {
  const result = new Uint8Array(pixels.length);
  const inside = (/** @type {number} */ at) => Math.min(Math.max(at, 0), size - 1);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const from = (inside(y - down) * size + inside(x - right)) * channels;
      result.set(pixels.subarray(from, from + channels), (y * size + x) * channels);
    }
  }
  return result;
}

/**
 * A copy with a square of one colour; parts of the square may lie outside.
 * @param {Uint8Array} pixels @param {number} size @param {number[]} colour
 * @param {{top: number, left: number, side: number}} square
 */
export function covered(pixels, size, colour, { top, left, side }) {
  const result = Uint8Array.from(pixels);
  for (let y = Math.max(0, top); y < Math.min(size, top + side); y++) {
    for (let x = Math.max(0, left); x < Math.min(size, left + side); x++) {
      result.set(colour, (y * size + x) * colour.length);
    }
  }
  return result;
}

/** The same noise each time, so that its strength alone changes what is seen.
 * @param {Uint8Array} pixels @param {number} deviation */
function noisy(pixels, deviation) {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
    return (state + 0.5) / 2 ** 32;
  };
  // Box and Muller (1958): a normal number of two even ones.
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return Uint8Array.from(pixels, (value) =>
    Math.min(Math.max(Math.round(value + deviation * normal()), 0), 255));
}

const OVERLAY = 384; // pixels of a side, about: enough for a sharp line
const SQUARE = 4; // a hidden square's side is the picture's, divided by this

/**
 * The picture's canvas, with what is drawn over it, and the reader's hand on it: drawing, moving the
 * hidden square, or neither.
 */
export class PictureView {
  /**
   * @param {HTMLElement} place two canvases, which the keyboard reaches
   * @param {HTMLCanvasElement} small the same again @param {Picture} picture
   * @param {(isDone: boolean) => void} onChange
   */
  constructor(place, small, picture, onChange) {
    this.small = small;
    this.picture = picture;
    this.onChange = onChange;
    /** @type {"look" | "draw" | "hide"} */
    this.mode = "look";
    this.brush = { radius: Math.max(0.8, picture.size / 24), colour: [255, 255, 255] };
    this.cursor = { x: picture.size >> 1, y: picture.size >> 1 };
    const [canvas, overlay] = place.querySelectorAll("canvas");
    this.canvas = canvas;
    this.overlay = overlay;
    /** @type {{top: number, left: number, side: number} | null} */
    this.field = null;
    place.addEventListener("pointerdown", (event) => this.#press(event));
    place.addEventListener("pointermove", (event) => this.#move(event));
    for (const kind of ["pointerup", "pointercancel"]) {
      place.addEventListener(kind, () => this.#release());
    }
    place.addEventListener("keydown", (event) => this.#key(event));
    for (const kind of ["focus", "blur"]) place.addEventListener(kind, () => this.drawOverlay());
    this.place = place;
    /** @type {[number, number] | undefined} where the pointer was, while it is down */
    this.last = undefined;
  }

  /** @param {"look" | "draw" | "hide"} mode */
  use(mode) {
    this.mode = mode;
    this.place.dataset.mode = mode;
    if (mode !== "look") this.place.scrollIntoView({ block: "nearest" }); // there the hand goes next
    const { picture } = this;
    if (mode === "hide" && !picture.experiments.hidden) {
      const side = Math.max(2, Math.round(picture.size / SQUARE));
      const start = (picture.size - side) >> 1;
      picture.experiments.hidden = { top: start, left: start, side };
      this.onChange(true);
    }
    this.drawOverlay();
  }

  /** @param {PointerEvent} event @returns {[number, number]} pixels from the left, and from the top */
  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.picture.size / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  /** @param {PointerEvent} event */
  #press(event) {
    if (this.mode === "look" || !event.isPrimary || event.button !== 0) return;
    event.preventDefault();
    this.place.setPointerCapture(event.pointerId);
    const [x, y] = this.#at(event);
    this.last = [x, y];
    this.#touch(x, y);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (!this.last || !event.isPrimary) return;
    const [x, y] = this.#at(event);
    const [fromX, fromY] = this.last;
    const steps = this.mode === "draw" ? Math.max(1, Math.ceil(Math.hypot(x - fromX, y - fromY))) : 1;
    for (let k = 1; k <= steps; k++) {
      this.#touch(fromX + ((x - fromX) * k) / steps, fromY + ((y - fromY) * k) / steps);
    }
    this.last = [x, y];
  }

  #release() {
    if (!this.last) return;
    this.last = undefined;
    this.onChange(true);
  }

  /** @param {number} x @param {number} y @param {boolean} [isDone] */
  #touch(x, y, isDone = false) {
    const { picture } = this;
    this.cursor = { x: Math.floor(x), y: Math.floor(y) };
    if (this.mode === "draw") {
      const { right, down } = picture.experiments;
      picture.dot(x - right, y - down, this.brush.radius, this.brush.colour);
    } else if (picture.experiments.hidden) {
      const { side } = picture.experiments.hidden;
      const start = (/** @type {number} */ at) =>
        Math.min(Math.max(Math.round(at - side / 2), 0), picture.size - side);
      picture.experiments.hidden = { top: start(y), left: start(x), side };
    }
    this.onChange(isDone);
  }

  /** Arrows move the brush or the square; the space bar draws. @param {KeyboardEvent} event */
  #key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (this.mode === "look" || !(step || event.key === " ")) return;
    event.preventDefault();
    const { picture } = this;
    if (this.mode === "hide" && picture.experiments.hidden && step) {
      const { top, left, side } = picture.experiments.hidden;
      this.#touch(left + step[0] + side / 2, top + step[1] + side / 2, true);
    } else if (this.mode === "draw") {
      const inside = (/** @type {number} */ at) => Math.min(Math.max(at, 0), picture.size - 1);
      if (step) this.cursor = { x: inside(this.cursor.x + step[0]), y: inside(this.cursor.y + step[1]) };
      if (event.key === " ") this.#touch(this.cursor.x + 0.5, this.cursor.y + 0.5, true);
      this.drawOverlay();
    }
  }

  /** Show what the network got. @param {Uint8Array} pixels */
  draw(pixels) {
    paintPixels(this.canvas, pixels, this.picture.size, this.picture.channels);
  }

  /** Outline a unit's receptive field; null: none. @param {{top: number, left: number, side: number} | null} field */
  outline(field) {
    this.field = field;
    this.drawOverlay();
  }

  /** The picture with what is outlined once more, for a narrow window's lower edge. */
  #drawSmall() {
    const { small, canvas, overlay } = this;
    small.width = small.height = overlay.width;
    const context = /** @type {CanvasRenderingContext2D} */ (small.getContext("2d"));
    context.imageSmoothingEnabled = false;
    for (const each of [canvas, overlay]) context.drawImage(each, 0, 0, small.width, small.height);
  }

  drawOverlay() {
    const scale = Math.max(1, Math.round(OVERLAY / this.picture.size));
    const { overlay, picture, field } = this;
    if (overlay.width !== picture.size * scale) {
      overlay.width = overlay.height = picture.size * scale;
    }
    const context = /** @type {CanvasRenderingContext2D} */ (overlay.getContext("2d"));
    context.clearRect(0, 0, overlay.width, overlay.height);
    const box = (/** @type {number} */ left, /** @type {number} */ top, /** @type {number} */ side) => {
      for (const [colour, width] of /** @type {[string, number][]} */ ([["#000", 7], ["#fff", 3]])) {
        context.strokeStyle = colour;
        context.lineWidth = (width * overlay.width) / OVERLAY;
        context.strokeRect(left * scale, top * scale, side * scale, side * scale);
      }
    };
    if (field) box(field.left, field.top, field.side);
    this.#drawSmall();
    if (this.mode === "draw" && this.place.matches(":focus-visible")) {
      box(this.cursor.x, this.cursor.y, 1);
    }
  }
}
