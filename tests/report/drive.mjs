// Uses a page of the report by pointer and by keys, and prints what it displayed as JSON.
// tests/report/test_pages.py calls it.
import { audit, page, report, shot, task } from "../live/session.mjs";

const results = {};
await report(results, async () => {
  await page.goto(task.url + task.query);
  await shot("full-start");
  await audit("start");
  for (const layer of await page.locator("details.layer > summary").all()) await layer.click();
  await audit("a layer");

  if (await page.locator("tr[data-trial]").count()) {
    await page.locator("tr[data-trial]").nth(1).hover();
    results.lit = await page.locator(".trial.on").getAttribute("data-trial");
    await audit("a trial");
    return;
  }
  const curves = page.locator("[data-epochs]").first();
  const reading = page.locator(".reading").first();
  const box = await curves.boundingBox();
  results.shares = JSON.parse(await curves.getAttribute("data-epochs"));
  await curves.hover({ position: { x: results.shares[1][0] * box.width, y: box.height / 2 } });
  results.hovered = await reading.textContent();
  await curves.focus();
  await page.keyboard.press("ArrowRight");
  results.next = await reading.textContent();
  await page.keyboard.press("Home");
  results.home = await curves.getAttribute("aria-valuetext");

  if (await page.locator(".cells a").count()) {
    await page.locator(".cells a").nth(1).click();
    await page.waitForFunction(() => document.activeElement.closest(".cells"));
    results.cell = await page.locator(".cell:visible").innerText();
    results.images = await page.locator(".cell:visible img").evaluateAll(
      (images) => images.map((image) => image.naturalWidth));
    await audit("a cell");
    await shot("cell");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    results.below = await page.locator(".cell:visible h4").innerText();
    results.stops = await page.locator(".cells a[tabindex='0']").count();
  }
});
