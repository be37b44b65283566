// Drives the page as a reader would, and prints what it displayed as JSON. Of its task, isFirstEnough:
// whether the first answer is enough. tests/live/test_page.py calls it.
import { audit, page, report, shot, task } from "./session.mjs";

const { url, query = "", isFirstEnough } = task;

/** Do something, and wait until the page shows its result. */
const act = async (action) => {
  const before = await page.evaluate(() => document.body.dataset.shown);
  await action();
  await page.waitForFunction((old) => document.body.dataset.shown !== old, before, { timeout: 60_000 });
  await page.waitForTimeout(30);
};

const number = (text) => Number(text.replace("\u2212", "-").replaceAll(",", ""));
const answer = () => page.evaluate(() => ({
  rows: [...document.querySelectorAll("#classes li")].map((row) => ({
    label: row.querySelector("span").textContent, probability: Number(row.dataset.probability),
  })),
  truth: document.getElementById("truth").hidden ? null : document.getElementById("truth").textContent,
  experiments: [...document.querySelectorAll("#experiments li")].map((row) => row.firstChild.textContent),
  changes: Object.fromEntries([...document.querySelectorAll(".block")].map((block) =>
    [block.id.slice("block-".length), block.querySelector(".change").textContent])),
  milliseconds: Number(document.getElementById("took").dataset.milliseconds),
  message: document.getElementById("message").textContent,
}));

/** Everything that is written of the chosen unit. */
const unit = async () => {
  const seen = await page.evaluate(() => {
    const inspector = document.getElementById("inspector");
    const details = inspector.querySelector("details");
    if (details) details.open = true;
    const texts = (selector) => [...inspector.querySelectorAll(selector)].map((cell) => cell.textContent);
    return {
      title: inspector.querySelector("h2").textContent,
      where: inspector.querySelector(".maps p.small")?.textContent ?? "",
      value: inspector.querySelector("[data-name=unit]").textContent,
      named: [...inspector.querySelectorAll(".sum [data-name]")].map((cell) => [cell.dataset.name, cell.textContent]),
      lines: [...inspector.querySelectorAll("button.line")].map((line) => [...line.children].map((part) => part.textContent)),
      inputs: [...inspector.querySelectorAll(".inputs tbody tr")].map((row) => [...row.children].map((cell) => cell.textContent)),
      window: texts(".window td"),
    };
  });
  await page.waitForTimeout(50); // the table of all numbers is made when it opens
  seen.cells = await page.evaluate(() => [...document.querySelectorAll("#inspector details tbody tr")]
    .map((row) => [...row.children].map((cell) => cell.textContent)));
  const [row, column] = seen.where.match(/\d+/g) ?? [0, 0];
  return {
    ...seen, row: Number(row), column: Number(column), value: number(seen.value),
    named: Object.fromEntries(seen.named.map(([name, text]) => [name, number(text)])),
    lines: seen.lines.map(([name, text]) => [name, number(text)]),
    inputs: seen.inputs.map(([name, ...rest]) => [name, ...rest.map(number)]),
    cells: seen.cells.map((cells) => cells.map(number)), window: seen.window.map(number),
  };
};

const results = { samples: [], units: [] };

const open = async () => {
  await page.goto(url + query);
  await page.waitForFunction(() => document.body.dataset.ready || document.body.dataset.message === "error", null, { timeout: 60_000 });
  results.message = await page.evaluate(() => document.getElementById("message").textContent);
  if (results.message) throw new Error(results.message);
  results.first = await page.evaluate(() => Number(document.body.dataset.ready));
  results.loaded = await page.evaluate(() => performance.getEntriesByType("navigation")[0].loadEventEnd);
  await page.waitForFunction(() => document.body.dataset.occluded, null, { timeout: 120_000 });
  await shot("full-start");
  await audit("start");
  results.opened = await answer();
  results.why = await page.evaluate(() => ({
    falls: document.querySelector("#why canvas").dataset.falls.split(" ").map(Number),
    neighbours: [...document.querySelectorAll("#why figure")].map((figure) => Number(figure.dataset.image)),
  }));
  results.took = await page.evaluate(() => document.getElementById("took").textContent);
  results.limits = await page.evaluate(() => document.getElementById("limits").innerText);
};

const work = async () => {
  const samples = await page.locator("#samples button").count();
  for (let k = 0; k < samples; k++) {
    await act(() => page.evaluate(async (number) => {
      const name = `${String(number).padStart(2, "0")}.png`;
      const bytes = await (await fetch(`run/samples/${name}`)).arrayBuffer();
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([bytes], name, { type: "image/png" }));
      document.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
    }, k));
    results.samples.push(await answer());
  }
  await act(() => page.locator("#samples button").nth(1).click());
  results.clicked = await answer();
  await act(() => page.locator("#samples button").first().click());

  const blocks = await page.evaluate(() => [...document.querySelectorAll(".block")].map((block) => block.id));
  for (const id of blocks) {
    await act(() => page.locator(`#${id} button.map`).first().click());
    results.units.push({ block: id.slice("block-".length), ...(await unit()) });
    await shot(`unit-${id}`);
    if (["block-conv1", "block-pool2", "block-fc2"].includes(id)) await audit(id);
  }

  // Muting the strongest channel of conv2, and one ReLU and one pooling more.
  await act(() => page.locator("#block-conv2 button.map").first().click());
  await act(() => page.locator("#inspector > header button").click());
  results.muted = { unit: (await unit()).title, ...(await answer()) };
  await shot("full-muted");
  await audit("muted");
  await act(() => page.locator("#reset").click());
  await act(() => page.locator("#block-conv3 .toggle").click());
  results.relu = await answer();
  await act(() => page.locator("#reset").click());
  await act(() => page.locator("#block-pool2 .toggle").click());
  results.pool = await answer();
  await act(() => page.locator("#reset").click());

  // The picture: shifted, with a hidden square, with noise.
  await act(() => page.locator("[data-shift='1,0']").click());
  results.shifted = await answer();
  await act(() => page.locator(".modes label", { hasText: "Hide" }).click());
  results.hidden = await answer();
  await act(() => page.locator("#noise").fill("20"));
  results.noise = await answer();
  await page.evaluate(() => scrollTo(0, 0));
  await shot("experiments");
  await audit("experiments");
  await act(() => page.locator("#reset").click());
  results.undone = await answer();

  // Drawing, with the pointer and by the keyboard.
  await act(() => page.locator("#blank").click());
  const blank = await answer();
  await page.waitForTimeout(100);
  const box = await page.locator("#picture").boundingBox();
  const at = (x, y) => [box.x + x * box.width, box.y + y * box.height];
  const times = [];
  await page.mouse.move(...at(0.3, 0.2));
  await act(() => page.mouse.down());
  for (let k = 1; k <= 20; k++) {
    await act(() => page.mouse.move(...at(0.3 + 0.02 * k, 0.2 + 0.03 * k)));
    times.push((await answer()).milliseconds);
  }
  await act(() => page.mouse.up());
  results.drawn = { blank, times, ...(await answer()) };
  await shot("drawn");
  await page.locator("#picture").focus();
  await page.keyboard.press("ArrowLeft");
  await act(() => page.keyboard.press(" "));
  results.byKeyboard = await answer();

  // The large map by the keyboard: the unit moves.
  await act(() => page.locator("#samples button").first().click());
  await act(() => page.locator("#block-conv1 button.map").first().click());
  const before = await unit();
  await page.locator("#inspector .large").focus();
  await act(() => page.keyboard.press(before.row > 0 ? "ArrowUp" : "ArrowDown"));
  results.moved = { before, after: await unit() };

  await page.locator("#epoch").fill("0");
  results.epoch = await page.locator("output").textContent();
  await page.waitForTimeout(300);
  await shot("full-end");
  await audit("end");
};

await report(results, async () => {
  await open();
  if (!isFirstEnough) await work();
});
