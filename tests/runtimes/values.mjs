// What the page of a `web` export makes of typed texts: node values.mjs values.js cases.json
// The cases are [function, column or option, text]; prints a JSON list of {value} or {error}.
import { readFileSync } from "node:fs";
import vm from "node:vm";

const [source, cases] = process.argv.slice(2);
class Tensor {
  constructor(type, data, dims) {
    this.data = type === "float32" ? Float32Array.from(data) : data;
  }
}
vm.runInThisContext(`globalThis.ort = {};`);
globalThis.ort.Tensor = Tensor;
vm.runInThisContext(readFileSync(source, "utf8"));
const plain = (value) => (typeof value === "bigint" ? String(value) : Number.isNaN(value) ? null : value);
const asked = JSON.parse(readFileSync(cases, "utf8")).map(([name, column, text]) => {
  try {
    return { value: plain(globalThis[name](column, [text], [1]).data[0]) };
  } catch (error) {
    return { error: error.message };
  }
});
console.log(JSON.stringify(asked));
