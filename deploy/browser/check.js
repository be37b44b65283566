// Drives the page as a user would, in headless Chromium, and prints what it displayed as JSON.
// node check.js CHROMIUM, with the steps as JSON on standard input, as
// tests/inference/test_browser.py calls it.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const { url, steps } = JSON.parse(readFileSync(0, "utf8"));
const browser = await chromium.launch({ executablePath: process.argv[2], args: ["--no-sandbox"] });
const page = await browser.newPage();
const requests = [];
page.on("request", (request) => requests.push(request.url()));

const state = (...wanted) =>
  page.waitForFunction(
    (states) => states.includes(document.body.dataset.state), wanted, { timeout: 300_000 },
  );

const displayed = () =>
  page.evaluate(() => ({
    state: document.body.dataset.state,
    message: document.getElementById("message").textContent,
    visible: !document.getElementById("answer").hidden,
    best: document.getElementById("best").textContent,
    predictions: [...document.querySelectorAll("#predictions li")].map((row) => ({
      label: row.querySelector("span").textContent,
      probability: Number(row.dataset.probability),
    })),
  }));

const settled = (before) =>
  page.waitForFunction(
    (before) =>
      document.getElementById("took").textContent !== before ||
      document.body.dataset.state === "error",
    before,
    { timeout: 300_000 },
  );

// What a user can do on the page.
const actions = {
  choose: (path) => page.setInputFiles("#file", path),
  drop: async ({ name, type, base64 }) => {
    const data = await page.evaluateHandle(([name, type, base64]) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name, { type }));
      return transfer;
    }, [name, type, base64]);
    await page.dispatchEvent("#drop", "drop", { dataTransfer: data });
  },
  sample: (index) => page.click(`#samples button:nth-child(${index + 1})`),
  precision: (name) => page.selectOption("#precision", name),
};

const results = [];
try {
  await page.goto(url);
  await state("ready", "error");
  for (const { action, value } of steps) {
    if (action === "screenshot") {
      await page.setViewportSize({ width: value.width, height: value.height });
      await page.emulateMedia({ colorScheme: value.scheme });
      await page.screenshot({ path: value.path, fullPage: true });
    } else if (action === "prepare") {
      results.push(await page.evaluate(async ([base64, preprocessing]) => {
        const { prepare } = await import("./prepare.js");
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        return Array.from(await prepare(new Blob([bytes]), preprocessing));
      }, [value.base64, value.preprocessing]));
    } else {
      // A marker that the next result replaces.
      await page.evaluate(() => { document.getElementById("took").textContent = "…"; });
      await actions[action](value);
      if (action === "precision") await state("ready", "error");
      else await settled("…");
      results.push(await displayed());
    }
  }
  results.push(await displayed());
} finally {
  await browser.close();
}
console.log(JSON.stringify({ results, requests }));
