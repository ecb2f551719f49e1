// Fills the page of a `web` export in headless Chromium, clicks, and prints what it answers as JSON.
// node --experimental-websocket browser.mjs CHROMIUM URL '{"column": "text typed", …}' [SCREENSHOT.png [WIDTH]]
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [chromium, url, typed, screenshot, width = "1100"] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "browser-"));
const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", `--user-data-dir=${profile}`];
const browser = spawn(chromium, [...flags, `--window-size=${width},900`, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });

const endpoint = await new Promise((resolve, reject) => {
  let text = "";
  browser.stderr.on("data", (data) => {
    text += data;
    const found = text.match(/DevTools listening on (ws:\S+)/);
    if (found) resolve(found[1]);
  });
  browser.on("exit", () => reject(new Error(`Chromium did not start: ${text.slice(-500)}`)));
});

const socket = new WebSocket(endpoint);
await new Promise((resolve) => socket.addEventListener("open", resolve));
const waiting = new Map();
let last = 0;
socket.addEventListener("message", ({ data }) => {
  const message = JSON.parse(data);
  waiting.get(message.id)?.(message);
});
let session;
const send = (method, params = {}) =>
  new Promise((resolve, reject) => {
    const id = ++last;
    waiting.set(id, (message) => (message.error ? reject(new Error(`${method}: ${message.error.message}`)) : resolve(message.result)));
    socket.send(JSON.stringify({ id, method, params, ...(session && { sessionId: session }) }));
  });
const evaluate = async (expression) => {
  const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
};
const until = async (expression) => {
  for (let i = 0; i < 300; i++) {
    if (await evaluate(expression).catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`waited in vain for ${expression}; the page says: ${await evaluate("document.body.innerText")}`);
};

try {
  const { targetInfos } = await send("Target.getTargets");
  const page = targetInfos.find((target) => target.type === "page");
  ({ sessionId: session } = await send("Target.attachToTarget", { targetId: page.targetId, flatten: true }));
  await send("Emulation.setDeviceMetricsOverride", { width: Number(width), height: 900, deviceScaleFactor: 1, mobile: false });
  await send("Page.navigate", { url });
  await until("!document.getElementById('answer').disabled");
  for (const [column, text] of Object.entries(JSON.parse(typed))) {
    const field = `document.querySelector('[data-column=' + ${JSON.stringify(JSON.stringify(column))} + ']')`;
    await evaluate(`${field}.focus()`);
    await send("Input.insertText", { text });
  }
  const at = await evaluate(
    "(() => { const b = document.getElementById('answer'); b.scrollIntoView({block: 'center'}); const r = b.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()",
  );
  const mouse = { x: at[0], y: at[1], button: "left", clickCount: 1 };
  await send("Input.dispatchMouseEvent", { type: "mousePressed", ...mouse });
  await send("Input.dispatchMouseEvent", { type: "mouseReleased", ...mouse });
  await until("document.getElementById('state').className === 'wrong' || document.querySelectorAll('#outputs dd').length > 0");
  const answer = await evaluate(
    "({state: document.getElementById('state').textContent, outputs: Object.fromEntries([...document.querySelectorAll('#outputs dd')].map((d) => [d.dataset.output, d.innerText]))})",
  );
  if (screenshot) {
    const { data } = await send("Page.captureScreenshot", { captureBeyondViewport: true });
    writeFileSync(screenshot, Buffer.from(data, "base64"));
  }
  console.log(JSON.stringify(answer));
} finally {
  browser.kill();
  await new Promise((resolve) => browser.on("exit", resolve));
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(0);
