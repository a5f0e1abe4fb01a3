/** Files that a person drops or chooses. */

import { guess, parse } from "/lab/csv.js";
import { bytes } from "/lab/numbers.js";

const LARGEST_BYTES = 50_000_000;

/** A file cannot be taken; the message says why. */
export class FileRefused extends Error {}

/**
 * Read a file of texts.
 * @returns {Promise<{name: string, size: number, rows: string[][], column: number,
 *   header: boolean, table: boolean}>} A text file has one column; a table may have a header.
 * @throws {FileRefused} It is too large, cannot be read, or is not text or empty.
 */
export async function readTexts(file) {
  if (file.size > LARGEST_BYTES) {
    throw new FileRefused(
      `${file.name} has ${bytes(file.size)}; the page takes ${bytes(LARGEST_BYTES)}. ` +
        "`sentiment predict -i FILE` takes any size.",
    );
  }
  const content = decoded(await bytesOf(file));
  if (content.includes("\0")) throw new FileRefused(`${file.name} is no text file.`);
  const isTable = /\.(csv|tsv)$/i.test(file.name) || /csv|tab-separated/.test(file.type);
  const rows = isTable ? parse(content) : lines(content).map((line) => [line]);
  if (rows.length === 0) throw new FileRefused(`${file.name} holds no texts.`);
  const where = isTable ? guess(rows) : { column: 0, header: false };
  return { name: file.name, size: file.size, rows, table: isTable, ...where };
}

/** Return the texts in a column of rows. */
export function column(rows, index, header) {
  return rows
    .slice(header ? 1 : 0)
    .map((row) => (row[index] ?? "").toWellFormed())
    .filter((text) => text.trim() !== "");
}

/** Return the lines that are not blank. */
export function lines(content) {
  return content
    .toWellFormed()
    .split(/\r\n|\r|\n/)
    .filter((line) => line.trim() !== "");
}

async function bytesOf(file) {
  try {
    return await file.arrayBuffer();
  } catch {
    // Browsers tell no more than that.
    throw new FileRefused(`${file.name} cannot be read. Is it a folder, or has it changed?`);
  }
}

function decoded(buffer) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(buffer);
  } catch {
    // What a spreadsheet saves as plain CSV on Windows.
    return new TextDecoder("windows-1252").decode(buffer);
  }
}
