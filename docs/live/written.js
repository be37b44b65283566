// The arithmetic of one unit, written out with its numbers.
import { pooled, products, responseNormalised, softmax, sumsByMap } from "./arithmetic.js";
import { el, fixed, grouped } from "./dom.js";
import { largestOf, paintMap } from "./draw.js";
import { unitName } from "./experiments.js";
import { COLOURS } from "./network.js";
import { term } from "./terms.js";

/** @typedef {import("./live.js").State} State */
/** @typedef {import("./run.js").Block} Block */
/** @typedef {import("./run.js").Run} Run */
/** @typedef {Required<import("./live.js").Unit>} Unit */

const MOST = 6; // maps or inputs that are listed

/**
 * What a unit computes, for its kind of layer.
 * @param {Run} run @param {Block} block @param {State} state @param {Unit} unit
 * @param {(map: number) => void} chooseMap of the window @param {number | null} map
 * @returns {Node[]}
 */
export function written(run, block, state, unit, chooseMap, map) {
  const input = inputOf(run, block, state);
  const value = valueOf(block, state.now[block.name], unit);
  if (block.kind === "conv" || block.kind === "fc") {
    return weightedSum(run, block, state, unit, input, value, chooseMap, map);
  }
  if (block.kind === "max pool") return pooling(block, state, unit, input, value);
  if (block.kind === "lrn") return normalisation(block, unit, input, value);
  return pixel(run, block, state, unit, value);
}

/** What a block takes: the outputs of the block before. @param {Run} run @param {Block} block
 * @param {State} state */
export const inputOf = (run, block, state) => state.now[block.input] ?? new Float32Array();

/** @param {Block} block @param {Float32Array} values @param {Unit} unit */
export function valueOf({ output_shape: [, height = 1, width = 1] }, values, { channel, row, column }) {
  return values[(channel * height + row) * width + column];
}

/** Rows of `what = number`; the last is the result. @param {[string | Node, number, string?][]} rows */
function sumTable(rows) {
  const lines = rows.map(([what, value, name = ""]) =>
    el("tr", {}, el("th", { scope: "row" }, what), el("td", { dataset: { name } }, fixed(value))));
  return el("table", { className: "sum" }, el("tbody", {}, ...lines));
}

/** @param {Run} run @param {Block} block @param {State} state @param {Unit} unit
 * @param {Float32Array} input @param {number} value @param {(map: number) => void} chooseMap
 * @param {number | null} map */
function weightedSum(run, block, state, unit, input, value, chooseMap, map) {
  const all = products(run, block, input, unit);
  /** @type {[string | Node, number, string?][]} */
  const rows = [
    [`the sum of ${grouped(all.weights.length)} products`, all.sum, "sum"],
    [el("span", {}, `+ the ${unitName(block.name)}'s `, term("bias")), all.bias, "bias"],
  ];
  if (!block.relu) {
    rows.push([el("span", {}, "= the ", term("logit")), all.total, "value"]);
  } else {
    rows.push(["=", all.total, "total"]);
    if (state.experiments.isMuted(block.name, unit.channel)) {
      rows.push([el("span", {}, term("mute", "muted"), ": 0 in its place"), value, "value"]);
    } else if (state.experiments.withoutRelu.has(block.name)) {
      rows.push(["without its ReLU", value, "value"]);
    } else {
      const text = all.total < 0 ? ": below 0, so it becomes" : ": above 0, so it stays";
      rows.push([el("span", {}, term("ReLU"), text), value, "value"]);
    }
  }
  const parts = /** @type {Node[]} */ ([sumTable(rows)]);
  if (block.kind === "conv") parts.push(...windowParts(run, block, all, chooseMap, map));
  else parts.push(inputTable(run, block, all));
  if (!block.relu) parts.push(...softmaxParts(run, state.now[block.name], unit));
  return parts;
}

/** The name of a map of the layer before. @param {Run} run @param {Block} block @param {number} map */
function mapName(run, block, map) {
  if (block.input === "image") return run.channels === 1 ? "grey" : COLOURS[map];
  return `${block.input} channel ${map}`;
}

/** The window of one map, its weights and their products; which map can be chosen.
 * @param {Run} run @param {Block} block @param {import("./arithmetic.js").Products} all
 * @param {(map: number) => void} chooseMap @param {number | null} map */
function windowParts(run, block, all, chooseMap, map) {
  const sums = sumsByMap(all);
  const shown = sums.find((each) => each.map === map) ?? sums[0];
  const listed = sums.slice(0, MOST);
  const rest = sums.slice(MOST);
  const buttons = listed.map(({ map, sum }) => {
    const name = mapName(run, block, map);
    const button = el("button", {
      type: "button", className: "line", "aria-pressed": String(map === shown.map),
    }, el("span", {}, name), el("span", { dataset: { sum: String(map) } }, fixed(sum)));
    button.addEventListener("click", () => chooseMap(map));
    return button;
  });
  const others = rest.reduce((total, { sum }) => total + sum, 0);
  if (rest.length) {
    buttons.push(/** @type {any} */ (el("p", { className: "line" },
      el("span", {}, `the other ${grouped(rest.length)} maps`), el("span", {}, fixed(others)))));
  }
  return [
    el("h3", {}, "The sum, map by map"),
    el("div", { className: "lines" }, ...buttons),
    el("h3", {}, `${mapName(run, block, shown.map)}: the `, term("window"), " × the weights"),
    grids(all, shown.map),
  ];
}

/** Three small pictures: window, weights, products; and a line for the place under the pointer.
 * @param {import("./arithmetic.js").Products} all @param {number} map */
function grids({ values, weights, side, first, top, left }, map) {
  const from = (map - first) * side ** 2;
  const window = values.subarray(from, from + side ** 2);
  const factors = weights.subarray(from, from + side ** 2);
  const product = window.map((value, i) => value * factors[i]);
  const readout = el("p", { className: "readout" });
  const read = (/** @type {number} */ i) => {
    const [y, x] = [Math.floor(i / side), i % side];
    readout.textContent = `row ${top + y}, column ${left + x}: ` +
      `${fixed(window[i])} × ${fixed(factors[i])} = ${fixed(product[i])}`;
  };
  const figures = [["window", window], ["weights", factors], ["products", product]].map(
    ([name, numbers]) => {
      const canvas = el("canvas", { role: "img", "aria-label": `${name}, ${side} × ${side}` });
      const array = /** @type {Float32Array} */ (numbers);
      paintMap(canvas, array, side, largestOf(array), true);
      canvas.addEventListener("pointermove", ({ clientX, clientY }) => {
        const box = canvas.getBoundingClientRect();
        const place = (/** @type {number} */ at, /** @type {number} */ length) =>
          Math.min(Math.max(Math.floor((at / length) * side), 0), side - 1);
        read(place(clientY - box.top, box.height) * side + place(clientX - box.left, box.width));
      });
      return el("figure", {}, canvas, el("figcaption", {}, String(name)));
    },
  );
  const [a, b] = figures;
  read(product.reduce((best, value, i) => (Math.abs(value) > Math.abs(product[best]) ? i : best), 0));
  return el("div", {},
    el("div", { className: "grids" }, a, el("span", {}, "×"), b, el("span", {}, "="), figures[2]),
    readout, numbersOf(window, factors, product, side, top, left));
}

/** All numbers of a window, closed at first.
 * @param {Float32Array} window @param {Float32Array} weights @param {Float32Array} product
 * @param {number} side @param {number} top @param {number} left */
function numbersOf(window, weights, product, side, top, left) {
  const body = el("tbody");
  const details = el("details", {}, el("summary", {}, `All ${side ** 2} numbers`),
    el("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "All numbers" }, el("table", {},
      el("thead", {}, el("tr", {}, ...["row", "column", "window", "weight", "product"]
        .map((name) => el("th", { scope: "col" }, name)))), body)));
  details.addEventListener("toggle", () => { // only for who wants them
    if (body.childElementCount) return;
    window.forEach((value, i) => {
      const cells = [String(top + Math.floor(i / side)), String(left + (i % side)), fixed(value),
        fixed(weights[i]), fixed(product[i])];
      body.append(el("tr", {}, ...cells.map((text) => el("td", {}, text))));
    });
  });
  return details;
}

/** The largest products of a fully connected unit.
 * @param {Run} run @param {Block} block @param {import("./arithmetic.js").Products} all */
function inputTable(run, block, { values, weights, sum }) {
  const order = Array.from(weights, (_, i) => i)
    .sort((a, b) => Math.abs(values[b] * weights[b]) - Math.abs(values[a] * weights[a]));
  const largest = order.slice(0, MOST);
  const shown = largest.reduce((total, i) => total + values[i] * weights[i], 0);
  const [, height = 1, width = 1] = block.input_shape;
  const name = (/** @type {number} */ i) => {
    if (height * width === 1) return `${block.input} ${unitName(block.input)} ${i}`;
    const [channel, place] = [Math.floor(i / (height * width)), i % (height * width)];
    return `${block.input} channel ${channel}, row ${Math.floor(place / width)}, column ${place % width}`;
  };
  const rows = largest.map((i) => el("tr", {},
    el("th", { scope: "row" }, name(i)),
    ...[values[i], weights[i], values[i] * weights[i]].map((number) => el("td", {}, fixed(number)))));
  const rest = order.length - largest.length;
  rows.push(el("tr", {}, el("th", { scope: "row", colSpan: 3 }, `the other ${grouped(rest)} products`),
    el("td", {}, fixed(sum - shown))));
  return el("div", {}, el("h3", {}, "The largest products"), el("table", { className: "inputs" },
    el("thead", {}, el("tr", {}, el("td", {}, ""), ...["value", "weight", "product"]
      .map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, ...rows)));
}

/** @param {Run} run @param {Float32Array} logits @param {Unit} unit */
function softmaxParts(run, logits, { channel }) {
  const { largest, powers, sum, probabilities } = softmax(logits);
  return [
    el("h3", {}, "Then ", term("softmax"), ` over all ${logits.length} classes`),
    sumTable([
      [`e to the power of ${fixed(logits[channel])} − ${fixed(largest)}, the largest`, powers[channel], "power"],
      ["÷ the sum of these powers", sum, "powers"],
      [`= the probability of ${run.classes[channel]}`, probabilities[channel], "probability"],
    ]),
  ];
}

/** @param {Block} block @param {State} state @param {Unit} unit @param {Float32Array} input
 * @param {number} value */
function pooling(block, state, unit, input, value) {
  const { values, side, top, left, max, mean } = pooled(block, input, unit);
  const averages = state.experiments.averaging.has(block.name);
  const rows = Array.from({ length: side }, (_, y) => el("tr", {},
    ...Array.from({ length: side }, (_, x) => {
      const number = values[y * side + x];
      const isTaken = !averages && y * side + x === values.indexOf(max);
      const text = Number.isFinite(number) ? fixed(number) : "–";
      return el("td", { className: isTaken ? "taken" : "" }, text);
    })));
  return [
    sumTable([
      ["the largest of its window", max, "max"],
      ["the mean of its window", mean, "mean"],
      [averages ? "average pooling takes the mean" : "max pooling takes the largest", value, "value"],
    ]),
    el("h3", {}, `Its window: rows ${top} to ${top + side - 1}, columns ${left} to ${left + side - 1} of `,
      `${block.input} channel ${unit.channel}`),
    el("table", { className: "window" }, el("tbody", {}, ...rows)),
  ];
}

/** @param {Block} block @param {Unit} unit @param {Float32Array} input @param {number} value */
function normalisation(block, unit, input, value) {
  const { alpha, beta, k, size } = /** @type {NonNullable<Block["lrn"]>} */ (block.lrn);
  const parts = responseNormalised(block, input, unit);
  return [sumTable([
    ["the value", parts.value, "input"],
    [`the sum of the squares in channels ${parts.first} to ${parts.last}`, parts.squares, "squares"],
    [`÷ (${k} + ${alpha} / ${size} × that sum) to the power of ${beta}`, parts.divisor, "divisor"],
    ["= the normalised value", value, "value"],
  ])];
}

/** @param {Run} run @param {Block} block @param {State} state @param {Unit} unit @param {number} value */
function pixel(run, block, state, { channel, row, column }, value) {
  const byte = state.pixels[(row * run.size + column) * run.channels + channel];
  return [sumTable([
    [`the pixel: ${byte} of 255`, byte / 255, "pixel"],
    ["− the mean of the training images", run.mean[channel], "mean"],
    ["÷ their standard deviation", run.std[channel], "std"],
    ["= what the network gets", value, "value"],
  ])];
}
