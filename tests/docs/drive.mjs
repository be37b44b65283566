// Looks at pages of the docs site in both colour schemes, and prints what was seen as JSON.
// tests/docs/test_site.py calls it.
import { audit, page, report, shot, task } from "../live/session.mjs";

const results = { overflows: [], grounds: [] };
await report(results, async () => {
  for (const name of task.pages) {
    await page.goto(`${task.url}${name}.html`, { waitUntil: "networkidle" });
    await audit(name);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) results.overflows.push(name);
    results.grounds.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
    await shot(`${task.full ? "full-" : ""}${name.replace("/", "-")}`);
  }
});
