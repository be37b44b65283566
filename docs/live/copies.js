// This network's own lesson: fc1 gets each value 36 times, and 36 weights do the work of their sum.
import { el, fixed, grouped } from "./dom.js";
import { largestOf, paintMap } from "./draw.js";
import { term } from "./terms.js";

export class CopiesView {
  /** @param {HTMLElement} place @param {import("./run.js").Run} run */
  constructor(place, run) {
    const { copies } = run.about;
    if (!copies) {
      place.hidden = true;
      return;
    }
    const { number, shape: [, width], inputs, layer } = copies;
    const written = copies.parameters_written;
    const collapsed = copies.parameters_collapsed;
    const choice = el("select", { id: "example" }, ...copies.examples.map((/** @type {any} */ { unit, input }, /** @type {number} */ k) =>
      new Option(`${layer} unit ${unit}, value ${input}`, String(k))));
    const weights = el("canvas", { role: "img", "aria-label": `The ${number} weights` });
    const values = el("canvas", { role: "img", "aria-label": `The ${number} copies` });
    const single = el("canvas", { role: "img", "aria-label": "The one value" });
    const sum = el("p", { className: "equation" });
    const list = el("p", { className: "small muted numbers" });
    const render = () => {
      const example = copies.examples[Number(choice.value)];
      const array = Float32Array.from(example.weights);
      paintMap(weights, array, width, largestOf(array), true);
      paintMap(values, new Float32Array(number).fill(0.75), width, 1);
      paintMap(single, new Float32Array([0.75]), 1, 1);
      const w = (/** @type {number} */ k) => [" w", el("sub", {}, String(k))];
      sum.replaceChildren("x ·", ...w(1), " + x ·", ...w(2), " + … + x ·", ...w(number), " = x · (", ...w(1), " + … +", ...w(number),
        ` ) = x · ${fixed(example.sum)}`);
      list.textContent = example.weights.map((/** @type {number} */ weight) => fixed(weight)).join("  ");
    };
    choice.addEventListener("change", render);
    place.replaceChildren(
      el("h2", { id: "copies-title" }, `6. One value, ${number} copies`),
      el("p", {}, `AlexNet was made for large pictures: its first `, term("fully connected"), ` layer expects maps of 6 × 6. ` +
        `Of a small picture only one place is left by then, ${grouped(inputs)} values in all, and an average pool copies each ` +
        `of them ${number} times. So each unit of ${layer} multiplies the same value by ${number} weights and adds: ` +
        `that is the value times the sum of these weights. Nothing is lost if the ${number} are replaced by their sum.`),
      el("div", { className: "copies" },
        el("figure", {}, single, el("figcaption", {}, "one value x")), el("span", {}, "→"),
        el("figure", {}, values, el("figcaption", {}, `copied ${number} times`)), el("span", {}, "×"),
        el("figure", {}, weights, el("figcaption", {}, `${number} trained weights`))),
      el("p", { className: "controls" }, el("label", { htmlFor: "example" }, "Weights of "), choice),
      sum, list,
      el("p", {}, `${layer} as it is written has ${grouped(written)} `, term("parameter", "parameters"),
        `; with the sums, ${grouped(collapsed)}. The exported model and this page use the sums: the same answers to rounding, ` +
        `and a third of the file.`),
    );
    render();
  }
}
