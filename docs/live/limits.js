// What this page cannot show, and what its numbers are.
import { el, grouped, percent } from "./dom.js";

const SMALL = 64; // pixels: of larger pictures, a change takes longer than a blink

/** @param {HTMLElement} place @param {import("./run.js").Run} run */
export function showLimits(place, run) {
  const { rounding, copies, gallery, variant } = run.about;
  const points = [
    `Its weights are those of the run, rounded to 8 bits (in the fully connected layers to 7) with a scale for each channel, so that they are small enough to load. ` +
      `Of ${grouped(rounding.num_images)} test images the rounded network gives ${percent(rounding.accuracy)} the right label, and ` +
      `${percent(rounding.label_agreement)} the same label as the exact one. All activations and answers here are of the rounded network.`,
    "Batch normalisation, which serves the training, is folded into the weights, and dropout does nothing after training: neither is shown.",
    `The strongest patches and the neighbours are sought among ${grouped(gallery.number)} training images, not all of them.`,
    "Hiding a part says what this answer depends on, and no more: a network can be right for reasons that a person would not accept.",
  ];
  if (run.size > SMALL) {
    points.push(
      `${variant} takes pictures of ${run.size} × ${run.size} pixels: a change takes several times as long as at 32 × 32, and the ` +
        `occlusion a minute or so. The folder is larger than 30 MB, for fc1 has ${grouped(run.block("fc1").parameters)} parameters.`,
    );
  }
  if (!copies) {
    points.push("The lesson of fc1's copies is not shown: of pictures of this size more than one place is left before fc1. " +
      "Where an average pool stands before it, that is part of fc1's weights here.");
  }
  place.replaceChildren(
    el("h2", { id: "limits-title" }, `${copies ? 7 : 6}. What these numbers are, and what is not shown`),
    el("ul", {}, ...points.map((text) => el("li", {}, text))),
  );
}
