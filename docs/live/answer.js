// The answer: a bar for each class, and a mark where it was before the experiments.
import { byId, el, percent } from "./dom.js";

const MOST = 12; // classes; of more, the first ones by probability

export class AnswerView {
  /** @param {string[]} classes */
  constructor(classes) {
    this.classes = classes;
    this.rows = Array.from({ length: Math.min(classes.length, MOST) }, () => {
      const [name, value] = [el("span"), el("span", { className: "value" })];
      const [filled, mark] = [el("b"), el("s")];
      const row = el("li", {}, name, el("i", {}, filled, mark), value);
      return { row, name, value, filled, mark };
    });
    byId("classes").replaceChildren(...this.rows.map(({ row }) => row));
    /** @type {number[]} */
    this.order = classes.map((_, k) => k).slice(0, MOST);
  }

  /** @param {import("./live.js").State} state @param {boolean} isDone the reader's hand rests */
  render(state, isDone) {
    const [before, now] = [state.base.probabilities, state.now.probabilities];
    const best = bestOf(now);
    if (this.classes.length > MOST && (isDone || !this.order.includes(best))) {
      const all = this.classes.map((_, k) => k);
      const order = all.sort((a, b) => before[b] - before[a]).slice(0, MOST);
      this.order = order.includes(best) ? order : [best, ...order.slice(0, MOST - 1)];
    }
    this.rows.forEach(({ row, name, value, filled, mark }, place) => {
      const k = this.order[place];
      name.textContent = this.classes[k];
      value.textContent = percent(now[k]);
      row.dataset.probability = String(now[k]);
      row.classList.toggle("best", k === best);
      filled.style.width = `${100 * now[k]}%`;
      mark.hidden = !state.hasExperiments;
      mark.style.left = `${100 * before[k]}%`;
    });
    const was = bestOf(before);
    const changed = best === was ? "" : ` It was ${this.classes[was]}.`;
    byId("bar").querySelector("span").textContent = `${this.classes[best]} ${percent(now[best])}`;
    if (isDone) {
      byId("spoken").textContent = `The answer: ${this.classes[best]}, ${percent(now[best])}.${changed}`;
    }
    const { label } = state;
    const truth = byId("truth");
    truth.hidden = label === null;
    if (label !== null) {
      const right = label === best;
      truth.className = right ? "small right" : "small wrong";
      truth.textContent = `${right ? "✓ Right" : "✗ Wrong"}: the test image shows ${this.classes[label]}`;
    }
  }
}

/** The index of the largest value. @param {Float32Array | number[]} values */
export function bestOf(values) {
  let best = 0;
  for (let k = 1; k < values.length; k++) if (values[k] > values[best]) best = k;
  return best;
}
