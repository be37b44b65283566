// What if: the list of the experiments that are on, each with a button that ends it.
import { byId, el } from "./dom.js";

export class WhatIfView {
  /**
   * @param {import("./experiments.js").Experiments} network @param {import("./picture.js").Picture} picture
   * @param {() => void} onChange
   */
  constructor(network, picture, onChange) {
    this.network = network;
    this.picture = picture;
    this.onChange = onChange;
    this.place = byId("experiments");
    this.list = this.place.querySelector("ul");
    this.shown = "";
    byId("reset").addEventListener("click", () => this.#end(() => {
      network.reset();
      picture.reset();
      this.settle();
    }));
  }

  /** The controls follow the picture's experiments. */
  settle() {
    const { hidden, noise } = this.picture.experiments;
    byId("noise").value = String(noise);
    const hide = byId("input").querySelector("[value=hide]");
    if (!hidden && hide.checked) byId("input").querySelector("[value=look]").click();
  }

  /** End an experiment; the focus goes to the next one, or to the answer. @param {() => void} undo */
  #end(undo) {
    undo();
    this.settle();
    this.render();
    (this.list.querySelector("button") ?? byId("answer-title")).focus();
    this.onChange();
  }

  /** @returns {import("./experiments.js").Experiment[]} those on the picture */
  #onPicture() {
    const { experiments } = this.picture;
    const { right, down, hidden, noise } = experiments;
    const shifts = [
      right && `${Math.abs(right)} ${right > 0 ? "right" : "left"}`,
      down && `${Math.abs(down)} ${down > 0 ? "down" : "up"}`,
    ].filter(Boolean);
    const set = (/** @type {Partial<typeof experiments>} */ values) => () => Object.assign(experiments, values);
    return [
      { isOn: shifts.length, text: `the picture is shifted, pixels: ${shifts.join(", ")}`, undo: set({ right: 0, down: 0 }) },
      { isOn: hidden, text: "a square of the picture is hidden", undo: set({ hidden: null }) },
      { isOn: this.picture.isDrawnOn, text: "something is drawn on the picture", undo: () => { this.picture.pixels = this.picture.given; } },
      { isOn: noise, text: `noise on each pixel, with a standard deviation of ${noise} of 255`, undo: set({ noise: 0 }) },
    ].filter(({ isOn }) => isOn);
  }

  render() {
    const all = [...this.network.list(), ...this.#onPicture()];
    const shown = all.map(({ text }) => text).join("\n");
    if (shown === this.shown) return; // so that a button keeps the focus
    this.shown = shown;
    this.place.hidden = !all.length;
    this.list.replaceChildren(...all.map(({ text, undo }) => {
      const button = el("button", { type: "button", "aria-label": `Undo: ${text}` }, "×");
      button.addEventListener("click", () => this.#end(undo));
      return el("li", {}, text, button);
    }));
  }
}
