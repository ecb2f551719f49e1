"use strict";
// What is typed, as the file takes it: the same values that shopkit.runtime.canonical makes, or a sentence about why not.

const MISSING_TIME = -(2n ** 63n);
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const WHOLE_TEXT = /^\s*(?:\+(?=\p{Nd}))?(-?\p{Nd}+)(?:\.0*)?\s*$/u;
const TIME = /^(\d{4})-(\d\d?)-(\d\d?)(?:[T ](\d\d?):(\d\d?)(?::(\d\d?)(?:[.,]\d+)?)?( UTC|Z|[+-]\d\d(?::?\d\d)?)?)?$/;
const DAY = 86_400_000;

/** The tensor of a column's texts. */
function tensor(column, texts, dims) {
  if (column.kind === "string") {
    // A shop's numbers that are names: 3.0 is 3.
    const names = column.integer ? texts.map((text) => WHOLE_TEXT.exec(text)?.[1] ?? text) : texts;
    return new ort.Tensor("string", names, dims);
  }
  if (column.kind === "time") return new ort.Tensor("int64", BigInt64Array.from(texts, (text) => seconds(column, text)), dims);
  if (column.double) return new ort.Tensor("float64", texts.map((text) => number(column, text)), dims);
  return new ort.Tensor("float32", texts.map((text) => single(column, text)), dims);
}

/** The tensor of an option's texts. */
function values(option, texts, dims) {
  if (option.dtype === "string") return new ort.Tensor("string", texts, dims);
  if (option.dtype === "bool") return new ort.Tensor("bool", texts.map((text) => truth(option, text)), dims);
  if (option.dtype === "float32") return new ort.Tensor("float32", texts.map((text) => single(option, text)), dims);
  const numbers = texts.map((text) => number(option, text));
  if (!numbers.every(Number.isSafeInteger)) throw new Error(`${option.name}: “${texts.join(", ")}” is not a whole number.`);
  return new ort.Tensor("int64", BigInt64Array.from(numbers, BigInt), dims);
}

function truth(option, text) {
  const found = { true: true, 1: true, false: false, 0: false }[text.trim().toLowerCase()];
  if (found === undefined) throw new Error(`${option.name}: “${text}” is neither true nor false.`);
  return found;
}

/** A number, NaN of an empty text; true and false are 1 and 0, as in a CSV. */
function number(column, text) {
  const plain = text.trim().toLowerCase();
  if (plain === "") return NaN;
  if (plain === "true" || plain === "false") return Number(plain === "true");
  if (plain.includes(",")) {
    throw new Error(`${column.name}: “${text}” is not a number: write it with a point before its fraction, and without commas.`);
  }
  if (!DECIMAL.test(plain)) throw new Error(`${column.name}: “${text}” is not a number.`);
  return finite(column, text, Number(plain));
}

const single = (column, text) => finite(column, text, Math.fround(number(column, text)));

function finite(column, text, value) {
  if (Math.abs(value) === Infinity) throw new Error(`${column.name}: “${text}” is too large a number.`);
  return value;
}

/** Whole seconds since 1970, UTC; a time without an offset is one of the column's time zone. */
function seconds(column, text) {
  const plain = text.trim();
  if (plain === "") return MISSING_TIME;
  const [, year, month, day, hours = 0, minutes = 0, secs = 0, offset] = TIME.exec(plain) ?? [];
  const parts = [year, month - 1, day, hours, minutes, secs].map(Number);
  const wall = utc(...parts);
  const read = new Date(wall);
  const stands = [read.getUTCFullYear(), read.getUTCMonth(), read.getUTCDate(), read.getUTCHours(), read.getUTCMinutes(), read.getUTCSeconds()];
  // The 30th of February is none: it would be read as the 1st of March.
  if (!year || Number(year) === 0 || stands.some((part, i) => part !== parts[i])) {
    throw new Error(`${column.name}: “${text}” is not a time such as 2024-06-30T18:00:00.`);
  }
  return BigInt((offset ? wall - ahead(offset) : moment(wall, column)) / 1000);
}

function utc(year, month, day, hours, minutes, secs) {
  const date = new Date(Date.UTC(2000, month, day, hours, minutes, secs));
  return date.setUTCFullYear(year, month, day); // Date.UTC takes 24 for 1924
}

/** Milliseconds by which a written offset is ahead of UTC. */
function ahead(offset) {
  if (offset === "Z" || offset === " UTC") return 0;
  const [, sign, hours, minutes = 0] = /^([+-])(\d\d):?(\d\d)?$/.exec(offset);
  return (sign === "-" ? -1 : 1) * (60 * hours + Number(minutes)) * 60_000;
}

/** The moment when clocks of the column's zone show a time. Of an hour that comes twice it is the first; one that is left out is
 * taken as if the clocks had not been moved yet. */
function moment(wall, column) {
  if (!column.unit || column.unit === "UTC") return wall;
  const clock = zoneClock(column);
  const [before, after] = [wall - DAY, wall + DAY].map((near) => clock(near) - near);
  const shows = (offset) => clock(wall - offset) === wall;
  return wall - (shows(before) || !shows(after) ? before : after);
}

/** Moment → what the clocks of a zone show then, both in milliseconds as if in UTC. */
function zoneClock(column) {
  const digits = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };
  let format;
  try {
    format = new Intl.DateTimeFormat("en-US", { timeZone: column.unit, calendar: "iso8601", hourCycle: "h23", ...digits });
  } catch {
    throw new Error(`${column.name}: this browser does not know the time zone ${column.unit}. Leave the field empty, or use another.`);
  }
  return (at) => {
    const part = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
    return utc(part.year, part.month - 1, part.day, part.hour, part.minute, part.second);
  };
}
