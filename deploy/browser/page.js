// The user interface; the model itself is in model.js.
import { takePicture } from "./camera.js";

const TOP = 5;
const RULE = "The smallest file that loses at most half a percentage point of accuracy";
const DEVICES = { cpu: "processor (WebAssembly)", gpu: "GPU (WebGPU)" };
const byId = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
const nameOf = ({ precision, device }) => `${precision} on the ${DEVICES[device]}`;
// Another artifact than the pipeline's: ?artifact=path/to/folder
const folder = new URLSearchParams(location.search).get("artifact") ?? "../../artifacts";

let model;
let latest = 0; // of several images in quick succession only the last result appears

function setState(state, message = "") {
  document.body.dataset.state = state;
  byId("message").textContent = message;
  byId("file").disabled = byId("camera").disabled = state === "loading" || !model?.engine;
}

async function start() {
  setState("loading", "Looking for the model …");
  const { Model } = await import("./model.js");
  model = await Model.open(folder);
  describe(model.artifact.manifest);
  for (const sample of model.samples) showSample(sample);
  byId("try").hidden = model.samples.length === 0;
  const [first] = model.choices;
  const where = first.device === "gpu" ? " and runs on the GPU" : `. ${model.gpu.reason}`;
  await load(first, `${RULE}${where}.`);
}

function describe({ variant, data, metrics }) {
  byId("about").textContent =
    `AlexNet (${variant}), trained on ${data.name}: accuracy ${percent(metrics.accuracy)} ` +
    `on ${metrics.n.toLocaleString("en")} test images. It runs in this browser.`;
  model.choices.forEach((choice, index) => {
    const cost = `${megabytes(choice.bytes)} MB, accuracy ${percent(choice.accuracy)}`;
    byId("choice").append(new Option(`${nameOf(choice)}: ${cost}`, index));
  });
}

/** Load one of the model's choices. If it is one on the GPU that fails, the best of the others. */
async function load(choice, why) {
  setState("loading", `Loading the model: ${nameOf(choice)} …`);
  try {
    await model.load(choice, showProgress);
  } catch (error) {
    const other = choice.device === "gpu" && model.choices.find(({ device }) => device === "cpu");
    if (other) return load(other, `The GPU is not used: ${error.message}. ${RULE}.`);
    byId("choice").value = model.choices.indexOf(model.choice);
    throw error;
  } finally {
    byId("bytes").textContent = "";
  }
  byId("choice").value = model.choices.indexOf(choice);
  byId("why").textContent = why;
  const { digest, verified } = model.artifact;
  byId("trust").textContent =
    `Verified by SHA-256: ${verified.size} files, by what this device computes: ` +
    `${model.numChecked} samples. The manifest's SHA-256 is ${digest}.`;
  document.querySelector("footer").hidden = false;
  return setState("ready");
}

function showProgress(name, received, total) {
  if (total) byId("progress").value = received / total;
  else byId("progress").removeAttribute("value");
  byId("bytes").textContent =
    `${name}: ${megabytes(received)} ${total ? `of ${megabytes(total)} ` : ""}MB`;
}

function showSample({ image, trueLabel }) {
  const picture = Object.assign(new Image(), { src: URL.createObjectURL(image) });
  picture.alt = `A test image: ${trueLabel}`;
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.append(picture);
  button.addEventListener("click", guarded(() => show(image, trueLabel)));
  byId("samples").append(button);
}

async function show(file, trueLabel) {
  if (byId("file").disabled) return;
  setState("busy");
  const turn = ++latest;
  let result;
  try {
    result = await model.classify(file);
  } catch (error) {
    if (turn === latest) byId("answer").hidden = true;
    throw error;
  }
  if (turn !== latest) return;
  setState("ready");
  showPicture(file);
  showInput(result.pixels, model.artifact.manifest.preprocessing);
  const [best] = result.predictions;
  byId("best").textContent = `${best.label}, ${percent(best.probability)}`;
  byId("truth").hidden = trueLabel === undefined;
  const isRight = best.label === trueLabel;
  byId("truth").className = isRight ? "right" : "wrong";
  byId("truth").textContent = `${isRight ? "✓ Right" : "✗ Wrong"}: the true label is ${trueLabel}`;
  byId("predictions").replaceChildren(...result.predictions.slice(0, TOP).map(bar));
  byId("took").textContent =
    `The most probable of ${result.predictions.length} classes, in ` +
    `${result.milliseconds.toFixed(0)} ms by ${nameOf(model.choice)}`;
  byId("answer").hidden = false;
}

function showPicture(file) {
  const picture = byId("picture");
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(file);
  picture.onload = () => picture.classList.toggle("small", picture.naturalWidth < 128);
}

function showInput(pixels, { crop, channels }) {
  const canvas = byId("input");
  canvas.width = canvas.height = crop;
  const image = new ImageData(crop, crop);
  for (let i = 0; i < crop * crop; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[channels * i + (c % channels)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  byId("input-caption").textContent = `Network input, ${crop}×${crop}`;
}

function bar({ label, probability }) {
  const row = document.createElement("li");
  const [name, value] = [document.createElement("span"), document.createElement("span")];
  name.textContent = label;
  value.textContent = percent(probability);
  const [track, filled] = [document.createElement("i"), document.createElement("b")];
  filled.style.width = percent(probability).replace(" ", "");
  track.append(filled);
  row.append(name, value, track);
  row.dataset.probability = probability;
  return row;
}

/** Errors appear on the page. */
function guarded(action) {
  return (event) =>
    Promise.resolve(action(event)).catch((error) => setState("error", `${error.message}.`));
}

/** Show the image of a drop or a clipboard. */
async function receive({ files }, nothing) {
  if (byId("file").disabled) return;
  if (!files.length) throw new Error(nothing);
  await show(files[0]);
}

byId("file").addEventListener("change", guarded(async ({ target }) => {
  const [file] = target.files;
  if (file) await show(file);
  target.value = ""; // so that choosing the same file again is a change
}));
byId("choice").addEventListener("change", guarded(({ target }) =>
  load(model.choices[target.value], "Your choice.")));
byId("camera").addEventListener("click", guarded(async () => {
  const picture = await takePicture(byId("viewfinder"));
  if (picture) await show(picture);
}));

const drop = byId("drop");
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  // On the whole page: an image that misses the field must not replace the page.
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
  });
}
document.addEventListener("drop", guarded(({ dataTransfer }) =>
  receive(dataTransfer, "What was dropped is not a file; save the image and drop its file")));
document.addEventListener("paste", guarded(({ clipboardData }) =>
  receive(clipboardData, "The clipboard has no image")));

guarded(start)();
