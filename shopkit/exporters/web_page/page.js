"use strict";
// Builds a form from what the file says of itself (description.json), and answers with the file, in this page.

const element = (id) => document.getElementById(id);
const make = (tag, properties = {}, children = []) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

async function start() {
  ort.env.wasm.wasmPaths = new URL("runtime/", location.href).href;
  ort.env.wasm.numThreads = 1;
  const description = await (await fetch("description.json")).json();
  document.title = element("title").textContent = description.title;
  element("about").textContent = description.about;
  const features = description.schema.filter((column) => (column.role || "feature") === "feature");
  element("fields").append(...features.map((column) => field(column, description.typical[column.name])));
  element("fields").append(...description.options.map(optionField));
  const session = await ort.InferenceSession.create("model.onnx");
  element("state").textContent = "Ready.";
  element("answer").disabled = false;
  element("typical").onclick = () => {
    for (const column of features) input(column).value = description.typical[column.name] ?? "";
    for (const option of description.options) input(option).value = optionText(option);
  };
  const right = () => fields().forEach((control) => control.setCustomValidity(""));
  element("form").oninput = element("form").onreset = right;
  element("form").onsubmit = async (event) => {
    event.preventDefault();
    element("outputs").replaceChildren();
    element("state").className = "";
    try {
      const feeds = { ...(await feed(features, description)), ...asked(description.options) };
      const begin = performance.now();
      const answers = await session.run(feeds);
      element("state").textContent = `Answered in ${(performance.now() - begin).toFixed(1)} ms.`;
      for (const output of description.outputs) {
        const alike = output.per ? description.outputs.filter((other) => other.per === output.per) : [];
        if (!output.per) element("outputs").append(...shown(output, answers[output.name]));
        else if (alike[0] === output) element("outputs").append(...shownLists(alike, answers));
      }
    } catch (error) {
      element("state").textContent = error.message;
      element("state").className = "wrong";
      error.field?.setCustomValidity(error.message);
      error.field?.reportValidity(); // said at the field, which gets the focus
    }
  };
}

const fields = () => document.querySelectorAll("[data-column]");
const input = (column) => document.querySelector(`[data-column="${CSS.escape(column.name)}"]`);

function field(column, typical) {
  const isLong = column.sequence || (typeof typical === "string" && typical.length > 40);
  const control = make(isLong ? "textarea" : "input");
  control.dataset.column = column.name;
  control.name = column.name;
  if (!isLong && column.kind === "number") Object.assign(control, { inputMode: "decimal", type: "text" });
  if (!isLong && column.kind === "time") Object.assign(control, { type: "datetime-local", step: 1 });
  if (column.kind === "image") Object.assign(control, { type: "file", accept: "image/*" });
  const kind = column.kind === "string" ? "text" : column.kind;
  const what = column.sequence ? `one ${kind} a line` : kind === "image" ? "a file" : kind;
  const unit = column.unit ? `, ${column.unit}` : "";
  return make("label", { className: isLong ? "wide" : "" }, [column.name, " ", make("span", { textContent: what + unit }), control]);
}

const optionText = (option) => (isList(option) ? option.default.join("\n") : String(option.default));
const isList = (option) => Boolean(option.shape?.length);

function optionField(option) {
  const control = make(isList(option) ? "textarea" : "input", { name: option.name, defaultValue: optionText(option) });
  control.dataset.column = option.name;
  const meaning = make("span", { textContent: option.meaning + (isList(option) ? ", one a line" : "") });
  return make("label", { className: "wide" }, [option.name, " ", meaning, control]);
}

function asked(options) {
  const feeds = {};
  for (const option of options) {
    const texts = isList(option) ? lines(input(option).value) : [input(option).value.trim() || String(option.default)];
    feeds[option.input] = read(option, () => values(option, texts, isList(option) ? [texts.length] : []));
  }
  return feeds;
}

/** What is made of a field; an error says of which. */
function read(column, make) {
  try {
    return make();
  } catch (error) {
    throw Object.assign(error, { field: input(column) });
  }
}

async function feed(features, description) {
  const feeds = {};
  const sequences = features.filter((column) => column.sequence);
  const steps = Object.fromEntries(sequences.map((column) => [column.name, lines(input(column).value)]));
  const lengths = new Set(Object.values(steps).map((values) => values.length));
  if (lengths.size > 1) {
    const counts = sequences.map((column) => `${column.name} has ${steps[column.name].length}`).join(", ");
    throw new Error(`The lists run side by side and need equally many lines: ${counts}.`);
  }
  const length = Math.max(1, ...lengths);
  for (const column of features) {
    if (column.kind === "image") {
      const picture = await bitmap(input(column).files[0]);
      feeds[description.inputs[column.name]] = read(column, () => pixels(column, picture));
      continue;
    }
    const texts = column.sequence ? [...steps[column.name]] : [input(column).value];
    while (column.sequence && texts.length < length) texts.push("");
    const dims = column.sequence ? [1, length] : [1];
    feeds[description.inputs[column.name]] = read(column, () => tensor(column, texts, dims));
  }
  if (description.lengths) {
    feeds[description.lengths] = new ort.Tensor("int64", [BigInt([...lengths][0] ?? 0)], [1]);
  }
  return feeds;
}

// The end of the last line begins none.
const lines = (text) => (text.trim() === "" ? [] : text.replace(/\n$/, "").split("\n").map((line) => line.trim()));

/** A chosen image, turned as its file says; its name if it is none, and nothing of no file. */
const bitmap = async (file) => file && createImageBitmap(file, { colorSpaceConversion: "none" }).catch(() => file.name);

// As files are read for training: on white unless transparency counts, grey by ITU-R 601 luma.
function pixels(column, picture) {
  const n = column.channels;
  if (!picture) return new ort.Tensor("uint8", new Uint8Array(n), [1, 1, 1, n]);
  if (typeof picture === "string") throw new Error(`${column.name}: “${picture}” is not an image that this browser reads.`);
  const { width, height } = picture;
  const context = Object.assign(make("canvas"), { width, height }).getContext("2d");
  if (n < 4) {
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
  }
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const found = new Uint8Array(width * height * n);
  for (let i = 0; i < width * height; i++) {
    const [red, green, blue] = data.subarray(4 * i, 4 * i + 3);
    if (n === 1) found[i] = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16;
    else found.set(data.subarray(4 * i, 4 * i + n), i * n);
  }
  return new ort.Tensor("uint8", found, [1, height, width, n]);
}

const plain = (answer) => Array.from(answer.data, (value) => (typeof value === "bigint" ? Number(value) : value));
const headed = (output) =>
  make("dt", {}, [output.name, make("small", { textContent: output.meaning + (output.unit ? ` (${output.unit})` : "") })]);

// Outputs that have a value for each of the same things (items and their scores) stand side by side; where there are fewer things
// than were asked for, the rest have no name.
function shownLists(outputs, answers) {
  const columns = outputs.map((output) => plain(answers[output.name]));
  const named = columns[0].map((_, i) => columns.map((values) => values[i])).filter((values) => !values.includes(""));
  const rows = named.map((values) => make("tr", {}, values.map((value) => make("td", { textContent: rounded(value) }))));
  if (!rows.length) rows.push(make("tr", {}, [make("td", { textContent: "none" })]));
  const detail = make("dd", {}, [make("table", {}, rows)]);
  detail.dataset.output = outputs.map((output) => output.name).join(" ");
  return [...outputs.map(headed), detail];
}

function shown(output, answer) {
  const values = plain(answer);
  const term = headed(output);
  const detail = make("dd");
  detail.dataset.output = output.name;
  if (output.classes && output.classes.length) {
    const rows = output.classes.map((name, i) => [name, values[i]]).sort((first, second) => second[1] - first[1]);
    detail.append(make("table", {}, rows.slice(0, 10).map(([name, value]) =>
      make("tr", {}, [make("td", { textContent: name }), make("td", { textContent: rounded(value) })]))));
  } else if (values.length > 1) {
    detail.append(make("table", {}, values.map((value) => make("tr", {}, [make("td", { textContent: rounded(value) })]))));
  } else {
    detail.textContent = rounded(values[0]);
    if (output.name === "probability") detail.append(make("meter", { min: 0, max: 1, value: values[0], ariaLabel: output.name }));
  }
  return [term, detail];
}

const rounded = (value) => (typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value));

start().catch((error) => {
  element("state").textContent = `This page cannot work: ${error.message}. Open it from a web server (python -m http.server), not as a file.`;
  element("state").className = "wrong";
});
