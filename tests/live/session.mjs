// A page in headless Chromium, for scripts that use it as a reader would.
// node SCRIPT CHROMIUM, with the task as JSON on standard input: the page's url, the window, the
// colour scheme, a folder for screenshots or null, a query, Chromium's arguments, and what the
// script alone knows. tests/live/driver.py calls them.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../docs/live/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const task = JSON.parse(readFileSync(0, "utf8"));
const { width = 1400, height = 900, scheme, screenshots, args = [] } = task;
const browser = await chromium.launch({ executablePath: process.argv[2], args: ["--no-sandbox", ...args] });
export const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme, reducedMotion: "reduce" });
const [requests, messages, violations, shots] = [[], [], [], []];
page.on("request", (request) => requests.push(request.url()));
page.on("console", (message) => messages.push(message.text()));
page.on("pageerror", (error) => messages.push(String(error)));

export const shot = async (name) => {
  if (!screenshots) return;
  await page.screenshot({ path: `${screenshots}/${name}.png`, fullPage: name.startsWith("full") });
  shots.push(name);
};

/** Let axe-core look at the page as it is. It is put in by the browser, past the page's own policy. */
export const audit = async (where) => {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  for (const { id, nodes } of found.violations) {
    violations.push(`${where}: ${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
  }
};

/** Do the work, and print its results and all that was seen meanwhile as JSON. */
export const report = async (results, work) => {
  try {
    await work();
    results.overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  } catch (error) {
    console.error(messages.join("\n"));
    await page.screenshot({ path: `${screenshots ?? "/tmp"}/failed.png` });
    throw error;
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify({ results, requests, messages, violations, shots }));
};
