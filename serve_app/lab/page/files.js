/** Files that a person drops or chooses, read by the rules of `sentiment predict`. */

import { guess, isBlank, parse } from "/lab/csv.js";
import { decoded, FileRefused } from "/lab/decoding.js";
import { bytes } from "/lab/numbers.js";

const LARGEST_BYTES = 50_000_000;
const CSV_QUOTED = /(?:^|\t)"((?:[^"]|"")*)"(?=\t|$)/g;
const FORMATS = [
  [/\.csv$/i, csv],
  [/\.tsv$/i, tsv],
  [/\.(jsonl|ndjson)$/i, jsonLines],
  [/\.txt$|^[^.]*$/i, text],
  // What these are is said when they are read.
  [/\.(bz2|parquet|xlsx?|xz|zip|zst)$/i, text],
];

/**
 * Read a file of texts.
 * @returns {Promise<{name: string, size: number, rows: any[][], problems: Map<number, string>,
 *   column: number, header: boolean, table: boolean, named: boolean}>} A text file has one column;
 *   a table may have a header, and has one for certain where it is `named`. A row with a problem
 *   is not a text.
 * @throws {FileRefused} It is too large, cannot be read, or is not text or empty.
 */
export async function readTexts(file) {
  if (file.size > LARGEST_BYTES) {
    throw new FileRefused(
      `${file.name} has ${bytes(file.size)}; the page takes ${bytes(LARGEST_BYTES)}. ` +
        "`sentiment predict -i FILE` takes any size.",
    );
  }
  const [, read] = FORMATS.find(([name]) => name.test(file.name.replace(/\.gz$/i, ""))) ?? [];
  if (!read) {
    throw new FileRefused(
      `The name of ${file.name} has no known format: .txt, .csv, .tsv, .jsonl, .ndjson, or .gz of these.`,
    );
  }
  const content = await decoded(await bytesOf(file), LARGEST_BYTES);
  const found = { name: file.name, size: file.size, named: false, problems: new Map(), ...read(content) };
  if (found.rows.length === 0) throw new FileRefused(`${file.name} holds no texts.`);
  return found;
}

/** Return the rows of a file as texts, in order: `text`, or the `problem` why it is none. */
export function rowsOf(file) {
  const { rows, problems, column, header } = file;
  const width = rows[0].length;
  return rows
    .map((row, index) => {
      if (problems.has(index)) return { problem: problems.get(index) };
      if (row.length !== width && !file.named) {
        return { problem: `the row has ${row.length} fields, the ${header ? "header" : "first row"} ${width}` };
      }
      const text = row[column];
      if (text === undefined) return { problem: `the object has no '${rows[0][column]}'` };
      if (typeof text !== "string") return { problem: `'${rows[0][column]}' is not a string` };
      return text.isWellFormed() ? { text } : { problem: "the text is not valid UTF-8" };
    })
    .slice(header ? 1 : 0);
}

/** Return the lines of what a person has typed that are not blank. */
export function lines(content) {
  return content
    .toWellFormed()
    .split(/\r\n|\r|\n/)
    .filter((line) => line.trim() !== "");
}

function filled(content) {
  return content.split(/\r?\n/).filter((line) => !isBlank(line));
}

function text(content) {
  return { rows: filled(content).map((line) => [line]), column: 0, header: false, table: false };
}

function csv(content) {
  return table(parse(content));
}

function tsv(content) {
  const all = filled(content);
  const problems = new Map();
  all.forEach((line, index) => {
    const quoted = [...line.matchAll(CSV_QUOTED)];
    if (quoted.some(([, inner]) => inner.includes('""') || inner.includes("\t"))) {
      problems.set(index, "a field is quoted as in CSV, but TSV has no quotes");
    }
  });
  return { ...table(all.map((line) => line.split("\t"))), problems };
}

function table(rows) {
  const where = guess(rows);
  if (where.header && new Set(rows[0]).size < rows[0].length) {
    throw new FileRefused("In the header, two columns have the same name.");
  }
  return { rows, table: true, ...where };
}

/** Return the values of objects by the keys of the first. */
function jsonLines(content) {
  const objects = filled(content).map(objectOf);
  const keys = Object.keys(objects.find((each) => each) ?? {});
  if (keys.length === 0) throw new FileRefused("No line is a JSON object.");
  const values = objects.map((each) => (each ? keys.map((key) => each[key]) : []));
  const rows = [keys, ...values];
  const problems = new Map();
  objects.forEach((each, index) => {
    if (!each) problems.set(index + 1, "the line is not a JSON object");
  });
  const { column, header } = guess(rows);
  const longest = header ? column : guess(values.filter((each) => each.length)).column;
  return { rows, problems, column: longest, header: true, table: true, named: true };
}

function objectOf(line) {
  try {
    const read = JSON.parse(line);
    return typeof read === "object" && !Array.isArray(read) ? read : null;
  } catch {
    return null;
  }
}

async function bytesOf(file) {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    // Browsers tell no more than that.
    throw new FileRefused(`${file.name} cannot be read. Is it a folder, or has it changed?`);
  }
}
