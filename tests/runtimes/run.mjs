// Asks an exported file with onnxruntime-node: node run.mjs model.onnx cases.json
// Knows nothing but what the file says of itself. Prints a JSON list with the outputs of each batch of cases.json.
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";

const MISSING_TIME = -(2n ** 63n);

// JavaScript's onnxruntime has no call for a file's metadata: it is field 14 of the file's protobuf message.
function metadata(bytes) {
  const text = new TextDecoder();
  const fields = function* (data) {
    for (let at = 0; at < data.length; ) {
      const varint = () => {
        let value = 0;
        for (let factor = 1; ; factor *= 128) {
          value += (data[at] & 127) * factor;
          if (data[at++] < 128) return value;
        }
      };
      const key = varint();
      if ((key & 7) === 0) varint();
      else {
        const size = varint();
        yield [key >> 3, data.subarray(at, at + size)];
        at += size;
      }
    }
  };
  for (const [number, entry] of fields(bytes)) {
    if (number !== 14) continue;
    const pair = Object.fromEntries(fields(entry));
    if (text.decode(pair[1]) === "shopkit") return JSON.parse(text.decode(pair[2]));
  }
  throw new Error("the file does not describe itself");
}

function scalar(column, value) {
  if (column.kind === "string") return value === null ? "" : String(value);
  if (column.kind === "time") return value === null ? MISSING_TIME : BigInt(Date.parse(`${value}Z`) / 1000);
  return value === null ? NaN : Number(value);
}

function tensor(type, values, dims) {
  if (type === "int64") return new ort.Tensor(type, BigInt64Array.from(values, BigInt), dims);
  return new ort.Tensor(type, type === "uint8" ? Uint8Array.from(values) : values, dims);
}

function feed(about, types, rows, options) {
  const fed = {};
  for (const column of about.schema.filter((column) => (column.role ?? "feature") === "feature")) {
    const name = about.inputs[column.name];
    const values = rows.map((row) => row[column.name]);
    if (column.sequence) {
      const lengths = values.map((steps) => steps.length);
      const longest = Math.max(1, ...lengths);
      const padded = values.flatMap((steps) => [...steps, ...Array(longest - steps.length).fill(null)]);
      fed[name] = tensor(types[name], padded.map((step) => scalar(column, step)), [rows.length, longest]);
      if (about.lengths) fed[about.lengths] = tensor("int64", lengths, [rows.length]);
    } else if (column.kind === "image") {
      fed[name] = tensor("uint8", values.flat(3), [rows.length, values[0].length, values[0][0].length, column.channels]);
    } else {
      fed[name] = tensor(types[name], values.map((value) => scalar(column, value)), [rows.length]);
    }
  }
  for (const option of about.options ?? []) {
    const value = options[option.name] ?? option.default;
    fed[option.input] = option.shape?.length
      ? tensor(types[option.input], value, [value.length])
      : tensor(types[option.input], [value], []);
  }
  return fed;
}

const [path, cases] = process.argv.slice(2);
const about = metadata(readFileSync(path));
const session = await ort.InferenceSession.create(path);
const types = Object.fromEntries(session.inputMetadata.map((input) => [input.name, input.type]));
const nested = (data, dims) => {
  if (dims.length < 2) return data;
  const size = data.length / dims[0];
  return Array.from({ length: dims[0] }, (_, i) => nested(data.slice(i * size, (i + 1) * size), dims.slice(1)));
};
// JSON has no infinity; a score of minus infinity is written as a text.
const plain = (value) => (typeof value === "bigint" ? Number(value) : Number.isFinite(value) ? value : String(value));
const answers = [];
for (const { rows, options } of JSON.parse(readFileSync(cases, "utf8"))) {
  const found = await session.run(feed(about, types, rows, options));
  answers.push(Object.fromEntries(about.outputs.map(({ name }) => [name, nested(Array.from(found[name].data, plain), found[name].dims)])));
}
console.log(JSON.stringify(answers));
