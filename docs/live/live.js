// The page: a picture goes through the network at each change, and every view shows what came out.
import { AnswerView, bestOf } from "./answer.js";
import { PictureView } from "./canvas.js";
import { CopiesView } from "./copies.js";
import { byId, grouped, guarded, percent, showError, showMessage } from "./dom.js";
import { DEVICES, Engine } from "./engine.js";
import { Experiments } from "./experiments.js";
import { Inspector } from "./inspector.js";
import { showLimits } from "./limits.js";
import { NetworkView, areaOf, byActivation, imageBlock } from "./network.js";
import { Picture } from "./picture.js";
import { Reader } from "./reader.js";
import { Run } from "./run.js";
import { explainTerms, listTerms } from "./terms.js";
import { TrainingView } from "./training.js";
import { WhatIfView } from "./whatif.js";
import { WhyView } from "./why.js";

/** @typedef {import("./engine.js").Outputs} Outputs */
/** @typedef {{block: string, channel: number, row: number, column: number}} Unit */
/**
 * @typedef {object} State what the views show
 * @property {Uint8Array} pixels that the network got
 * @property {Outputs} base without experiments @property {Outputs} now with them
 * @property {Experiments} experiments on the network
 * @property {boolean} hasExperiments on the network or on the picture
 * @property {Unit} selection
 * @property {number | null} label of the test image; null: the reader's own picture
 */

const WIDE = matchMedia("(min-width: 80rem)");

class Live {
  /** @type {State | undefined} */
  state;
  /** @type {{isDone: boolean} | undefined} what is to be computed next */
  wanted;
  /** @type {Uint8Array | undefined} the picture that `base` is of */
  basePixels;
  /** @type {Outputs} */
  base = {};
  isBusy = false;
  /** @type {HTMLElement | null | undefined} the map that was chosen by the keyboard */
  from;

  /** @param {Run} run @param {Engine} engine @param {HTMLImageElement} gallery */
  constructor(run, engine, gallery) {
    this.run = run;
    this.engine = engine;
    this.experiments = new Experiments();
    this.picture = new Picture(run.size, run.channels, run.mean);
    const image = imageBlock(run);
    this.blocks = [image, ...run.blocks];
    /** @type {Unit} */
    this.selection = { block: run.blocks[0].name, channel: -1, row: 0, column: 0 };
    this.milliseconds = 0;

    /** @type {(unit: Partial<Unit> & {block: string}, from?: HTMLElement | null) => void} */
    const select = (unit, from) => this.select(unit, from);
    this.pictureView = new PictureView(byId("picture"), byId("bar").querySelector("canvas"), this.picture, (isDone) => this.refresh(isDone));
    this.answer = new AnswerView(run.classes);
    this.network = new NetworkView(byId("blocks"), this.blocks, run.classes, {
      select,
      toggleRelu: (block) => this.#change(() => this.experiments.toggle(this.experiments.withoutRelu, block)),
      toggleAverage: (block) => this.#change(() => this.experiments.toggle(this.experiments.averaging, block)),
    });
    this.inspector = new Inspector(byId("inspector"), run, (name) => this.#blockOf(name), {
      select,
      mute: (block, channel) => this.#change(() => this.experiments.toggleMuted(block, channel)),
    }, gallery);
    this.why = new WhyView(byId("why"), run, engine, gallery);
    this.whatIf = new WhatIfView(this.experiments, this.picture, () => this.refresh(true));
    byId("inspector").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape" && this.from?.isConnected) this.from.focus();
    });
    WIDE.addEventListener("change", () => this.#placeInspector());
  }

  /** @param {string} name */
  #blockOf(name) {
    const block = this.blocks.find((block) => block.name === name);
    if (!block) throw new Error(`no layer ${name}`);
    return block;
  }

  /** @param {() => void} change of an experiment */
  #change(change) {
    change();
    this.refresh(true);
  }

  /** Show another picture. @param {Uint8Array} pixels @param {number | null} label */
  show(pixels, label) {
    this.picture.give(pixels, label);
    return this.refresh(true);
  }

  /**
   * Compute and render, once more if something changed meanwhile: the last state always appears.
   * @param {boolean} isDone the reader's hand rests; else a drawing or a movement goes on
   */
  async refresh(isDone) {
    this.wanted = { isDone: isDone || (this.wanted?.isDone ?? false) };
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      while (this.wanted) {
        const { isDone } = this.wanted;
        this.wanted = undefined;
        await this.#compute();
        this.#render(isDone);
        showMessage("");
        await new Promise((resolve) => { requestAnimationFrame(resolve); });
      }
    } catch (error) {
      showError(error);
    } finally {
      this.isBusy = false;
    }
  }

  async #compute() {
    const { picture, engine } = this;
    const label = picture.isDrawnOn ? null : picture.label;
    const own = picture.pixels;
    const experiments = this.experiments.copy(); // as it is now: the reader's hand goes on
    const pixels = picture.seen();
    const hasExperiments = picture.hasExperiments || !experiments.isEmpty;
    const began = performance.now();
    /** @type {(images: Uint8Array, switches: Record<string, Float32Array>) => Promise<Outputs>} */
    const run = async (images, switches) => {
      // A buffer that is sent is copied, so that the picture stays here.
      const outputs = await engine.run(images, 1, switches);
      return { ...outputs, image: this.run.normalise(images) };
    };
    if (this.basePixels !== own) this.base = await run(own, {});
    this.basePixels = own;
    const { base } = this;
    const now = hasExperiments ? await run(pixels, experiments.switches(this.run.blocks)) : base;
    this.milliseconds = performance.now() - began;
    const isFirst = this.selection.channel < 0;
    if (isFirst) [this.selection.channel] = byActivation(this.run.blocks[0], now[this.selection.block]);
    /** @type {State} */
    this.state = {
      pixels, base, now, experiments, hasExperiments, selection: this.selection, label,
    };
    if (isFirst) this.#takeStrongest();
  }

  /** @param {boolean} isDone */
  #render(isDone) {
    const state = /** @type {State} */ (this.state);
    const began = performance.now();
    this.pictureView.draw(state.pixels);
    this.answer.render(state, isDone);
    this.network.render(state, isDone);
    this.whatIf.render();
    this.pictureView.outline(this.inspector.render(state));
    this.why.render(state, isDone);
    const total = this.milliseconds + performance.now() - began;
    byId("took").textContent = `This change took ${total.toFixed(0)} ms on ${DEVICES[this.engine.device ?? "cpu"]}. ${this.engine.note}`;
    byId("took").dataset.milliseconds = String(total);
    document.body.dataset.shown = String(Number(document.body.dataset.shown ?? 0) + 1);
  }

  /**
   * Choose a unit; of another map the strongest one. Who came by the keyboard gets to the
   * inspector, and by Escape back.
   * @param {Partial<Unit> & {block: string}} unit @param {HTMLElement | null} [from]
   */
  select(unit, from) {
    const isSame = unit.block === this.selection.block && unit.channel === this.selection.channel;
    this.selection = { channel: 0, row: 0, column: 0, ...(isSame ? this.selection : {}), ...unit };
    if (!this.state) return;
    this.state.selection = this.selection;
    if (unit.row === undefined) {
      this.#takeStrongest();
      this.#placeInspector();
      this.network.render(this.state, false);
    }
    this.pictureView.outline(this.inspector.render(this.state));
    if (from) this.inspector.title?.focus();
    if (unit.row === undefined) this.from = from;
    document.body.dataset.shown = String(Number(document.body.dataset.shown ?? 0) + 1);
  }

  #takeStrongest() {
    const { now, selection } = /** @type {State} */ (this.state);
    const block = this.#blockOf(selection.block);
    const [, , width = 1] = block.output_shape;
    const area = areaOf(block);
    const map = now[block.name].subarray(selection.channel * area, (selection.channel + 1) * area);
    const best = bestOf(map);
    Object.assign(selection, { row: Math.floor(best / width), column: best % width });
  }

  /** Beside the network where there is room, else after the chosen layer. */
  #placeInspector() {
    const inspector = byId("inspector");
    const card = this.network.card(this.selection.block);
    if (WIDE.matches) byId("live").append(inspector);
    else card?.after(inspector);
  }
}

async function start() {
  const asked = new URLSearchParams(location.search).get("device");
  const wants = asked === "cpu" || asked === "gpu" ? asked : undefined;
  const opening = Run.open(new URL("run/", document.baseURI));
  const reader = new Reader(opening);
  const engine = await Engine.start(opening, () => reader.firstSample(), wants);
  const run = await opening;
  const gallery = new Image();
  gallery.src = new URL(run.about.gallery.file, run.base).href;
  explainTerms();
  listTerms(byId("terms"));
  describe(run);
  const live = new Live(run, engine, gallery);
  byId("live").hidden = false;
  byId("bar").hidden = false;
  await reader.attach(live);
  const { pixels, label } = await reader.firstSample();
  await live.show(pixels, label);
  if (!live.state) return; // the page says why
  document.body.dataset.ready = String(performance.now());
  await gallery.decode().catch(() => showMessage("The training images did not arrive: reload the page.", "error"));
  byId("more").hidden = false;
  live.inspector.shown = ""; // its patches are there now
  live.select({ block: live.selection.block, channel: live.selection.channel });
  new TrainingView(byId("training"), run);
  new CopiesView(byId("copies"), run);
  showLimits(byId("limits"), run);
  live.why.start(/** @type {State} */ (live.state));
}

/** @param {Run} run */
function describe({ about, classes }) {
  const { metrics, rounding } = about;
  byId("about").textContent =
    `This is AlexNet (${about.variant}), trained on ${about.data}, with ${classes.length} classes. It gives ` +
    `${percent(metrics.accuracy)} of ${grouped(metrics.n)} test images the right label; with the rounded weights ` +
    `that this page loads, ${percent(rounding.accuracy)}.`;
}

guarded(start)();
