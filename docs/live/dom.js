// Elements and numbers as the page shows them.

/**
 * An element with properties, `dataset` and attributes, and its children.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [properties] those that are no property become attributes
 * @param {(Node | string | null | undefined | false)[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "dataset" || name === "style") Object.assign(element[name], value);
    else if (name in element) Object.assign(element, { [name]: value });
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** @param {string} id @returns {any} the page's element of that id */
export const byId = (id) => {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
};

const MINUS = "\u2212";
/** @param {number} value @param {number} digits after the point */
export function fixed(value, digits = 4) {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

/** @param {number} share */
export const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
/** @param {number} value */
export const grouped = (value) => value.toLocaleString("en");
/** @param {number[]} shape */
export const times = (shape) => shape.map(grouped).join(" × ");

/** @param {number} flops */
export function megaflops(flops) {
  return `${(flops / 1e6).toFixed(flops < 1e6 ? 2 : 1)} MFLOP`;
}

/**
 * An action whose errors appear on the page.
 * @template {unknown[]} A
 * @param {(...args: A) => unknown} action
 */
export function guarded(action) {
  return (/** @type {A} */ ...args) =>
    Promise.resolve()
      .then(() => action(...args))
      .catch((error) => showError(error));
}

/** @param {unknown} error */
export function showError(error) {
  showMessage(`${String(/** @type {any} */ (error)?.message ?? error).replace(/\.+$/, "")}.`, "error");
}

/** @param {string} text @param {"" | "loading" | "error"} state */
export function showMessage(text, state = "") {
  byId("message").textContent = text;
  document.body.dataset.message = state;
}
