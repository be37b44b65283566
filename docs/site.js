// What the theme makes in the browser, mended for whoever reads with the keyboard or by ear: a wide
// table can be scrolled with the keys, and the buttons of each block of code have a name.
const mend = () => {
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) table.tabIndex = 0;
  document.querySelectorAll(".md-code__nav:not([aria-label])").forEach((buttons) =>
    buttons.setAttribute("aria-label", buttons.querySelector("[data-clipboard-target]")?.dataset.clipboardTarget ?? "Code"));
};
new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
mend();
