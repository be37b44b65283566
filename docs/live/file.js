// What is said where no module runs: a plain script still does.
addEventListener("error", ({ target }) => {
  if (!(target instanceof HTMLScriptElement)) return;
  document.body.dataset.message = "error";
  const message = /** @type {HTMLElement} */ (document.getElementById("message"));
  message.textContent = "A part of this page did not arrive: reload it.";
}, true);

// A page that was opened as a file may load no modules; a plain script still can say so.
if (location.protocol === "file:") {
  addEventListener("DOMContentLoaded", () => {
    document.body.dataset.message = "error";
    const message = /** @type {HTMLElement} */ (document.getElementById("message"));
    message.textContent =
      "Browsers run this page from a server only, not as a file. In this folder: " +
      "python3 -m http.server --bind 127.0.0.1, then open http://127.0.0.1:8000/ " +
      "(or: alexnet live --open).";
  });
}
