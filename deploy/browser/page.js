// The user interface; the model itself is in model.js.

const TOP = 5;
const byId = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
// Another artifact than the pipeline's: ?artifact=path/to/folder
const folder = new URLSearchParams(location.search).get("artifact") ?? "../../artifacts";

let model;
let latest = 0; // of several images in quick succession only the last result appears

function setState(state, message = "") {
  document.body.dataset.state = state;
  byId("message").textContent = message;
  byId("file").disabled = state === "loading" || !model?.session;
}

async function start() {
  setState("loading", "Looking for the model …");
  let Model;
  try {
    ({ Model } = await import("./model.js"));
  } catch {
    throw new Error("ONNX Runtime Web is not installed: run `npm ci` in this page's folder");
  }
  model = await Model.open(folder);
  describe(model.manifest);
  await Promise.all([showSamples(), load(model.precisions[0])]);
}

async function load(precision) {
  const { bytes } = model.manifest.precisions[precision];
  setState("loading", `Downloading the model, ${megabytes(bytes)} …`);
  byId("progress").removeAttribute("value");
  await model.load(precision, (share) => {
    byId("progress").value = share;
  });
  setState("ready");
}

function describe({ variant, data, metrics, precisions }) {
  byId("about").textContent =
    `AlexNet (${variant}), trained on ${data.name}: accuracy ${percent(metrics.accuracy)} ` +
    `on ${metrics.n.toLocaleString("en")} test images. It runs in this browser.`;
  for (const [name, { bytes }] of Object.entries(precisions)) {
    byId("precision").append(new Option(`${name}, ${megabytes(bytes)}`, name));
  }
  byId("choice").hidden = byId("precision").length < 2;
}

async function showSamples() {
  for (const { file, label } of model.samples) {
    const content = await model.sample(file);
    const button = document.createElement("button");
    const image = Object.assign(new Image(), { src: URL.createObjectURL(content), alt: label });
    button.append(image);
    button.addEventListener("click", guarded(() => show(content)));
    byId("samples").append(button);
  }
  byId("try").hidden = model.samples.length === 0;
}

async function show(file) {
  if (byId("file").disabled) return;
  setState("busy");
  const turn = ++latest;
  let result;
  try {
    result = await model.classify(file);
  } catch (error) {
    if (turn === latest) byId("answer").hidden = true;
    if (error.name !== "InvalidStateError") throw error;
    throw new Error(`${file.name ?? "This"} is not an image that this browser can read`);
  }
  if (turn !== latest) return;
  setState("ready");
  showPicture(file);
  showInput(result.pixels, model.manifest.preprocessing);
  const [best] = result.predictions;
  byId("best").textContent = `${best.label}, ${percent(best.probability)}`;
  byId("predictions").replaceChildren(...result.predictions.slice(0, TOP).map(bar));
  byId("took").textContent =
    `The most probable of ${result.predictions.length} classes, in ` +
    `${result.milliseconds.toFixed(0)} ms (${model.precision})`;
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
  byId("input-caption").textContent = `The network's input, ${crop}×${crop}`;
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
    Promise.resolve(action(event)).catch((error) => setState("error", error.message));
}

byId("file").addEventListener("change", guarded(async ({ target }) => {
  const [file] = target.files;
  if (file) await show(file);
  target.value = ""; // so that choosing the same file again is a change
}));
byId("precision").addEventListener("change", guarded(({ target }) => load(target.value)));

const drop = byId("drop");
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  // On the whole page: an image that misses the field must not replace the page.
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
  });
}
document.addEventListener("drop", guarded(async ({ dataTransfer }) => {
  const [file] = dataTransfer.files;
  if (file) await show(file);
}));
document.addEventListener("paste", guarded(async ({ clipboardData }) => {
  const [file] = clipboardData.files;
  if (file) await show(file);
}));

guarded(start)();
