// What the reader gives: a file, a drop, a paste, a photograph, a test image; and the controls.
import { takePicture } from "./camera.js";
import { byId, el, guarded } from "./dom.js";
import { fetchBytes } from "./run.js";
import { checkSteps, prepare } from "./prepare.js";

/** @typedef {{pixels: Uint8Array, label: number, probabilities: number[]}} Sample */

export class Reader {
  /** @param {Promise<import("./run.js").Run>} opening */
  constructor(opening) {
    this.samples = opening.then((run) => Promise.all(
      run.about.samples.map(async (/** @type {any} */ { file, label, probabilities }) => {
        const bytes = await fetchBytes(new URL(file, run.base));
        const image = new File([bytes], file, { type: "image/png" });
        const { preprocessing } = run.about; // a sample has been cropped
        const pixels = await prepare(image, { ...preprocessing, resize: preprocessing.crop });
        return { image, label, probabilities, pixels };
      }),
    ));
    this.samples.catch(() => {}); // who awaits it gets the error
  }

  /** @returns {Promise<Sample>} */
  async firstSample() {
    return (await this.samples)[0];
  }

  /** @param {any} live */
  async attach(live) {
    const { run, picture, pictureView } = live;
    const { preprocessing } = run.about;
    checkSteps(preprocessing);
    for (const sample of await this.samples) {
      const name = run.classes[sample.label];
      const image = Object.assign(new Image(), { src: URL.createObjectURL(sample.image), alt: "", draggable: false });
      const button = el("button", { type: "button", "aria-label": `Test image: ${name}`, title: name }, image);
      button.addEventListener("click", guarded(() => live.show(sample.pixels, sample.label)));
      byId("samples").append(button);
    }
    const own = async (/** @type {File} */ file) => live.show(await prepare(file, preprocessing), null);
    byId("file").addEventListener("change", guarded(async ({ target }) => {
      const [file] = target.files;
      if (file) await own(file);
      target.value = ""; // so that choosing the same file again is a change
    }));
    byId("camera").addEventListener("click", guarded(async () => {
      const file = await takePicture(byId("viewfinder"));
      if (file) await own(file);
    }));
    /** @param {DataTransfer | null} data @param {string} nothing */
    const receive = async (data, nothing) => {
      if (!data?.files.length) throw new Error(nothing);
      await own(data.files[0]);
    };
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
      // On the whole page: an image that misses the field must not replace the page.
      document.addEventListener(kind, (event) => {
        event.preventDefault();
        document.body.classList.toggle("over", kind === "dragenter" || kind === "dragover");
      });
    }
    document.addEventListener("drop", guarded(({ dataTransfer }) =>
      receive(dataTransfer, "What was dropped is not a file; save the image and drop its file")));
    document.addEventListener("paste", guarded(({ clipboardData, target }) =>
      target instanceof HTMLInputElement || receive(clipboardData, "The clipboard has no image")));
    byId("blank").addEventListener("click", () => {
      picture.blank();
      live.whatIf.settle();
      live.refresh(true);
      byId("input").querySelector("[value=draw]").click();
    });
    this.#attachModes(live, pictureView);
  }

  /** @param {any} live @param {import("./canvas.js").PictureView} view */
  #attachModes(live, view) {
    const { picture, run } = live;
    for (const radio of byId("input").querySelectorAll("[name=mode]")) {
      radio.addEventListener("change", () => {
        view.use(radio.value);
        byId("brush").hidden = radio.value !== "draw";
      });
    }
    const colour = byId("colour");
    if (run.channels === 1) byId("colour-label").hidden = true;
    else view.brush.colour = rgb(colour.value);
    colour.addEventListener("input", () => { view.brush.colour = rgb(colour.value); });
    const radius = byId("radius");
    Object.assign(radius, { max: String(run.size / 5), value: String(view.brush.radius) });
    radius.addEventListener("input", () => { view.brush.radius = Number(radius.value); });
    for (const button of byId("input").querySelectorAll("[data-shift]")) {
      const [right, down] = button.dataset.shift.split(",").map(Number);
      button.addEventListener("click", () => {
        const most = Math.floor(run.size / 4);
        const limit = (/** @type {number} */ at) => Math.min(Math.max(at, -most), most);
        const moved = picture.experiments;
        Object.assign(moved, { right: limit(moved.right + right), down: limit(moved.down + down) });
        live.refresh(true);
      });
    }
    const noise = byId("noise");
    noise.addEventListener("input", () => {
      picture.experiments.noise = Number(noise.value);
      live.refresh(false);
    });
    noise.addEventListener("change", () => live.refresh(true));
  }
}

/** @param {string} text such as #d62828 */
const rgb = (text) => [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16));
