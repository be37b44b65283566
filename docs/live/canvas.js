// The picture on the page: what the network got, what is outlined on it, and the reader's hand.
import { paintPixels } from "./draw.js";
import { squareSide } from "./picture.js";

/** @typedef {import("./picture.js").Picture} Picture */

const OVERLAY = 384; // pixels of a side, about: enough for a sharp line

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
      const side = squareSide(picture.size);
      const start = (picture.size - side) >> 1;
      picture.experiments.hidden = { top: start, left: start, side };
      this.onChange(true);
    }
    if (mode === "draw" && picture.experiments.hidden) { // a stroke under it would not be seen
      picture.experiments.hidden = null;
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
    const box = (/** @type {number} */ left, /** @type {number} */ top, /** @type {number} */ width, height = width) => {
      for (const [colour, line] of /** @type {[string, number][]} */ ([["#000", 7], ["#fff", 3]])) {
        context.strokeStyle = colour;
        context.lineWidth = (line * overlay.width) / OVERLAY;
        context.strokeRect(left * scale, top * scale, width * scale, height * scale);
      }
    };
    if (field) { // as far as it lies in the picture
      const [left, top] = [field.left, field.top].map((at) => Math.max(0, at));
      const [right, bottom] = [field.left, field.top].map((at) => Math.min(picture.size, at + field.side));
      box(left, top, right - left, bottom - top);
    }
    this.#drawSmall();
    if (this.mode === "draw" && this.place.matches(":focus-visible")) {
      box(this.cursor.x, this.cursor.y, 1);
    }
  }
}
