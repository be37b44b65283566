// Hover and keys on a page of the report. Without them each picture, table and image is still there.
"use strict";

// Curves: the values of the epoch under the pointer, or of the next one by the arrow keys.
for (const frame of document.querySelectorAll("[data-epochs]")) {
  const epochs = JSON.parse(frame.dataset.epochs); // of each: its share of the width, and its values
  const reading = document.createElement("p");
  reading.className = "reading muted";
  reading.textContent = "Values by epoch: point at the curves, or use the arrow keys.";
  frame.closest(".card").after(reading);
  const line = document.createElement("i");
  let shown = epochs.length - 1;

  const show = (k) => {
    shown = Math.min(Math.max(k, 0), epochs.length - 1);
    const [share, values] = epochs[shown];
    line.style.left = `${100 * share}%`;
    frame.append(line);
    reading.textContent = values;
    frame.ariaValueNow = String(shown + 1);
    frame.ariaValueText = values;
  };
  frame.tabIndex = 0;
  frame.role = "slider";
  frame.ariaLabel = `${frame.querySelector("img").alt} Epoch`;
  frame.ariaValueMin = "1";
  frame.ariaValueMax = frame.ariaValueNow = String(epochs.length);
  frame.ariaValueText = epochs[shown][1];
  frame.addEventListener("pointermove", ({ clientX }) => {
    const { left, width } = frame.getBoundingClientRect();
    const distances = epochs.map(([share]) => Math.abs(share - (clientX - left) / width));
    show(distances.indexOf(Math.min(...distances)));
  });
  frame.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: shown - 1, ArrowRight: shown + 1, Home: 0, End: epochs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  });
}

// The confusion matrix: one stop of the Tab key, whose cells the arrow keys step through.
for (const cells of document.querySelectorAll(".cells")) {
  const place = (link) => ["--c", "--r"].map((name) => Number(link.style.getPropertyValue(name)));
  const links = [...cells.children];
  const focus = (link) => {
    for (const each of links) each.tabIndex = each === link ? 0 : -1;
    link.focus({ preventScroll: true });
  };
  links.forEach((link, k) => { link.tabIndex = k ? -1 : 0; });
  // A link to a part of the page takes the focus away.
  cells.addEventListener("click", ({ target }) => setTimeout(() => focus(target)));
  cells.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, -1], ArrowDown: [1, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [axis, sign] = step;
    const here = place(event.target);
    const ahead = (link) => sign * (place(link)[axis] - here[axis]);
    const aside = (link) => Math.abs(place(link)[1 - axis] - here[1 - axis]);
    const next = links.filter((link) => ahead(link) > 0)
      .sort((one, two) => aside(one) - aside(two) || ahead(one) - ahead(two))[0];
    if (next) focus(next);
  });
}

// Experiments: a line and its row light up together.
for (const each of document.querySelectorAll("[data-trial]")) {
  const both = document.querySelectorAll(`[data-trial="${each.dataset.trial}"]`);
  for (const [event, on] of [["pointerenter", true], ["pointerleave", false]]) {
    each.addEventListener(event, () => { for (const it of both) it.classList.toggle("on", on); });
  }
}

// What scrolls can be reached by the keyboard.
const reach = () => {
  for (const part of document.querySelectorAll(".card, .scroll, nav")) {
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
    else part.removeAttribute("tabindex");
  }
};
addEventListener("resize", reach);
for (const layer of document.querySelectorAll("details")) layer.addEventListener("toggle", reach);
reach();
