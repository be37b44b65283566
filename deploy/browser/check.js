// Drives the page as a user would, in headless Chromium, and prints what it displayed as JSON.
// node check.js CHROMIUM, with the task as JSON on standard input: the page's url, the steps, and
// Chromium's arguments. tests/inference/browser.py calls it.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const { url, steps, args } = JSON.parse(readFileSync(0, "utf8"));
const browser = await chromium.launch({
  executablePath: process.argv[2],
  args: ["--no-sandbox", ...args],
});
const page = await browser.newPage();
const [requests, messages] = [[], []];
page.on("request", (request) => requests.push(request.url()));
page.on("console", (message) => messages.push(message.text()));
page.on("pageerror", (error) => messages.push(String(error)));

// What the download displays, at each change.
await page.addInitScript(() => {
  globalThis.downloads = [];
  addEventListener("DOMContentLoaded", () => {
    const [bar, bytes] = ["progress", "bytes"].map((id) => document.getElementById(id));
    const note = () => bytes.textContent && downloads.push([bytes.textContent, bar.position]);
    new MutationObserver(note).observe(bytes, { childList: true });
  });
});

const state = (...wanted) =>
  page.waitForFunction(
    (states) => states.includes(document.body.dataset.state), wanted, { timeout: 300_000 },
  );

const displayed = () =>
  page.evaluate(() => {
    const text = (id) => document.getElementById(id).textContent;
    const visible = (id) => document.getElementById(id).checkVisibility();
    return {
      state: document.body.dataset.state,
      message: text("message"),
      visible: visible("answer"),
      best: text("best"),
      truth: visible("truth") ? text("truth") : null,
      choice: document.querySelector("#choice :checked")?.textContent,
      choices: [...document.querySelectorAll("#choice option")].map((row) => row.textContent),
      why: text("why"),
      trust: text("trust"),
      downloads,
      input: document.getElementById("input").toDataURL(),
      predictions: [...document.querySelectorAll("#predictions li")].map((row) => ({
        label: row.querySelector("span").textContent,
        probability: Number(row.dataset.probability),
      })),
    };
  });

const settled = (before) =>
  page.waitForFunction(
    (before) =>
      document.getElementById("took").textContent !== before ||
      document.body.dataset.state === "error",
    before,
    { timeout: 300_000 },
  );

/** A DataTransfer in the page, of a file or of a text. */
const transfer = (value) =>
  page.evaluateHandle(({ name, type, base64, text }) => {
    const data = new DataTransfer();
    if (text) {
      data.setData("text/plain", text);
    } else {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      data.items.add(new File([bytes], name, { type }));
    }
    return data;
  }, value);

// What a user can do on the page.
const actions = {
  choose: (path) => page.setInputFiles("#file", path),
  drop: async (value) =>
    page.dispatchEvent("#drop", "drop", { dataTransfer: await transfer(value) }),
  paste: async (value) =>
    page.evaluate((clipboardData) => {
      document.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
    }, await transfer(value)),
  sample: (index) => page.click(`#samples button:nth-child(${index + 1})`),
  goto: (address) => page.goto(new URL(address, url).href),
  run: (name) =>
    page.locator("#choice option", { hasText: name }).first().getAttribute("value")
      .then((value) => page.selectOption("#choice", value)),
  open: async () => {
    await page.click("#camera");
    await page.waitForFunction(() =>
      document.querySelector("video").currentTime > 0 || document.body.dataset.state === "error");
  },
  take: () => page.click("dialog [value=take]"),
  cancel: () => page.click("dialog [value='']"),
};
const SETTLES = ["choose", "drop", "paste", "sample", "take"];

// Not what a user does, but what a test wants to see.
const probes = {
  screenshot: async ({ path, scheme, ...viewport }) => {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.screenshot({ path, fullPage: true });
  },
  // By how many pixels the page is wider than the window.
  overflow: async (width) => {
    await page.setViewportSize({ width, height: 800 });
    return page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  },
  prepare: ({ base64, preprocessing }) =>
    page.evaluate(async ([base64, preprocessing]) => {
      const { prepare } = await import("./prepare.js");
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      try {
        return Array.from(await prepare(new Blob([bytes]), preprocessing));
      } catch (error) {
        return error.message;
      }
    }, [base64, preprocessing]),
};

const results = [];
try {
  await page.goto(url);
  await state("ready", "error");
  for (const { action, value } of steps) {
    if (action in probes) {
      results.push(await probes[action](value));
    } else {
      // A marker that the next result replaces.
      await page.evaluate(() => { document.getElementById("took").textContent = "…"; });
      await actions[action](value);
      if (SETTLES.includes(action)) await settled("…");
      if (["goto", "run"].includes(action)) await state("ready", "error");
      results.push(await displayed());
    }
  }
  results.push(await displayed());
} finally {
  await browser.close();
}
console.log(JSON.stringify({ results, requests, messages }));
