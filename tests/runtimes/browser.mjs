// Fills the page of a `web` export in headless Chromium as a person would, and prints what it answers.
// node browser.mjs CHROMIUM URL cases.json [SCREENSHOT.png [WIDTH]]
// Each of the cases is {column: text to type, or a list of them, one a line, or {file: path to choose}}. Prints a JSON list of
// {state, said: {field with the focus: what is wrong with it}, outputs: {name: the texts shown}}. Needs WebSocket: Node 22, or 20
// with --experimental-websocket.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [chromium, url, cases, screenshot, width = "1100"] = process.argv.slice(2);
// Chromium's helpers write for a while after it has ended: the folder is left to whoever names TMPDIR.
const profile = mkdtempSync(join(tmpdir(), "browser-"));
const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--lang=en-US", "--remote-debugging-port=0"];
const browser = spawn(chromium, [...flags, `--user-data-dir=${profile}`, `--window-size=${width},900`, "about:blank"], {
  stdio: ["ignore", "ignore", "pipe"],
});

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
const evaluate = async (expression, returnByValue = true) => {
  const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return returnByValue ? result.value : result;
};
const until = async (expression) => {
  for (let i = 0; i < 600; i++) {
    if (await evaluate(expression).catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain for ${expression}; the page says: ${await evaluate("document.body.innerText")}`);
};

const click = async (selector) => {
  const [x, y] = await evaluate(`(() => {
    const button = document.querySelector(${JSON.stringify(selector)});
    button.scrollIntoView({ block: "center" });
    const box = button.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  })()`);
  const mouse = { x, y, button: "left", clickCount: 1 };
  await send("Input.dispatchMouseEvent", { type: "mousePressed", ...mouse });
  await send("Input.dispatchMouseEvent", { type: "mouseReleased", ...mouse });
};

const key = async (name, code, text) => {
  const pressed = { key: name, windowsVirtualKeyCode: code, ...(text && { text }) };
  await send("Input.dispatchKeyEvent", { type: text ? "keyDown" : "rawKeyDown", ...pressed });
  await send("Input.dispatchKeyEvent", { type: "keyUp", ...pressed });
};

// A date is typed as month, day and a year of six digits, then hours, minutes, seconds and half of the day.
const typeTime = async (text) => {
  const [, year, month, day, hours, minutes, seconds] = text.match(/(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)/);
  const clock = [String(hours % 12 || 12).padStart(2, "0"), minutes, seconds].join("");
  for (const letter of `${month}${day}${year.padStart(6, "0")}${clock}${hours < 12 ? "A" : "P"}`) {
    await key(letter, letter.charCodeAt(0), letter);
  }
};

const fill = async (column, value) => {
  const field = `document.querySelector('[data-column=' + ${JSON.stringify(JSON.stringify(column))} + ']')`;
  if (value.file) {
    const { objectId } = await evaluate(field, false);
    await send("DOM.setFileInputFiles", { files: [value.file], objectId });
    return;
  }
  await evaluate(`(${field}.focus(), ${field}.type !== "datetime-local" && ${field}.select())`);
  if ((await evaluate(`${field}.type`)) === "datetime-local") return typeTime(value);
  const [first, ...more] = [value].flat();
  await send("Input.insertText", { text: first });
  for (const line of more) {
    await key("Enter", 13, "\r");
    if (line) await send("Input.insertText", { text: line });
  }
};

const read = `({
  state: document.getElementById("state").textContent,
  said: Object.fromEntries([...document.querySelectorAll("[data-column]:invalid:focus")].map((field) => [
    field.dataset.column,
    field.validationMessage,
  ])),
  outputs: Object.fromEntries([...document.querySelectorAll("#outputs dd")].map((detail) => [
    detail.dataset.output,
    detail.querySelector("tr")
      ? [...detail.querySelectorAll("tr")].map((row) => [...row.cells].map((cell) => cell.textContent))
      : detail.textContent,
  ])),
})`;

try {
  const { targetInfos } = await send("Target.getTargets");
  const page = targetInfos.find((target) => target.type === "page");
  ({ sessionId: session } = await send("Target.attachToTarget", { targetId: page.targetId, flatten: true }));
  await send("Emulation.setDeviceMetricsOverride", { width: Number(width), height: 900, deviceScaleFactor: 1, mobile: false });
  await send("Page.navigate", { url });
  await until("!document.getElementById('answer').disabled");
  const answers = [];
  for (const typed of JSON.parse(readFileSync(cases, "utf8"))) {
    await click("[type=reset]");
    for (const [column, value] of Object.entries(typed)) await fill(column, value);
    await evaluate("document.getElementById('state').textContent = ''");
    await click("#answer");
    await until("document.getElementById('state').textContent !== ''");
    answers.push(await evaluate(read));
  }
  if (screenshot) {
    const { data } = await send("Page.captureScreenshot", { captureBeyondViewport: true });
    writeFileSync(screenshot, Buffer.from(data, "base64"));
  }
  console.log(JSON.stringify(answers));
} finally {
  const gone = new Promise((resolve) => browser.on("exit", resolve));
  browser.kill();
  await gone;
}
process.exit(0);
