// The field's terms, each with its meaning in a line.
import { el } from "./dom.js";

/** @type {Record<string, string>} */
const MEANINGS = {
  activation: "What a unit puts out: the weighted sum of its window, plus its bias, after the ReLU.",
  "average pooling": "Each output is the mean of a small window of one map.",
  bias: "A learned number that is added to each sum of a channel, whatever the window holds.",
  augmented: "Changed at random for training: cropped, mirrored, turned, recoloured. Such images are harder.",
  change: "How far a layer's values moved, all together: 100 % is as far as they were from 0.",
  channel: "One of a layer's maps. All of its units share one filter and one bias.",
  convolution: "A small filter slides over all maps of the layer before, and gives a weighted sum at each place.",
  dropout: "In training alone, random values are set to 0; here it does nothing.",
  epoch: "One pass over all training images.",
  "feature map": "A channel's outputs at all places of the picture: where the filter found what it looks for.",
  filter: "The learned weights of a channel, as large as its window. Also called a kernel.",
  "fully connected": "Each unit takes a weighted sum of all values of the layer before.",
  logit: "A class's score, before softmax turns all scores into probabilities.",
  "max pooling": "Each output is the largest value of a small window of one map.",
  MFLOP: "A million floating-point operations; a multiplication and an addition are two.",
  mute: "Set all outputs of a channel to 0, as if the network did not have it.",
  "local response normalisation": "Each value is divided by what its neighbours in other channels sum up to; of the 2012 paper, and no longer used.",
  "nearest neighbour": "Of the training images, the one whose activations in the last hidden layer differ least from this picture's.",
  normalise: "Subtract the mean of the training images from a pixel, and divide by their standard deviation.",
  occlusion: "A square of the mean colour hides part of the picture; how far the probability falls says how much that part mattered.",
  padding: "Zeros around the input, so that the window can stand at its edge.",
  parameter: "A learned number: a weight or a bias.",
  "receptive field": "The part of the picture that a unit depends on. Nothing outside of it can change the unit.",
  ReLU: "Rectified linear unit: negative sums become 0, the others stay as they are.",
  "principal component": "A direction in which many values vary together; a few of them sum up most of what varies.",
  softmax: "Turns scores into probabilities: e to the power of each, divided by the sum of all.",
  stride: "By how many places the window moves from one unit to the next.",
  unit: "One output of a layer: one place of one map.",
  "validation image": "An image that is kept out of training, to see how well the network does on new ones.",
  weight: "A learned factor of one input of a unit.",
  window: "The values of the layer before that a unit takes.",
};

/**
 * A term, whose meaning appears under the pointer; the list of all is for the keyboard.
 * @param {string} name of MEANINGS @param {string} [text] as it stands in the sentence
 */
export function term(name, text = name) {
  if (!MEANINGS[name]) throw new Error(`no meaning for ${name}`);
  return el("span", { className: "term", dataset: { term: name } }, text);
}

/** All terms with their meanings, as a list. @param {HTMLElement} list */
export function listTerms(list) {
  for (const [name, meaning] of Object.entries(MEANINGS)) {
    list.append(el("dt", {}, name), el("dd", {}, meaning));
  }
}

/** Show a term's meaning while the pointer is on it, or after a tap. */
export function explainTerms() {
  const note = el("div", { id: "meaning", role: "tooltip", hidden: true });
  document.body.append(note);
  const show = (/** @type {Event} */ { target }) => {
    const place = target instanceof Element ? target.closest(".term") : null;
    note.hidden = !place;
    if (!(place instanceof HTMLElement)) return;
    note.textContent = MEANINGS[place.dataset.term || place.textContent || ""];
    const [box, own] = [place.getBoundingClientRect(), note.getBoundingClientRect()];
    const left = Math.min(box.left, innerWidth - own.width - 8);
    const top = box.top > own.height + 12 ? box.top - own.height - 6 : box.bottom + 6;
    Object.assign(note.style, { left: `${Math.max(8, left)}px`, top: `${top}px` });
  };
  for (const kind of ["pointerover", "click"]) document.addEventListener(kind, show);
  addEventListener("keydown", ({ key }) => { if (key === "Escape") note.hidden = true; });
  addEventListener("scroll", () => { note.hidden = true; }, { capture: true, passive: true });
}
