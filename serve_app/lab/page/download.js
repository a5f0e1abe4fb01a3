/** The scores as a CSV file, in the form of `sentiment predict`. */

import { format } from "/lab/csv.js";
import { el } from "/lab/dom.js";
import { scoreOf } from "/lab/scores.js";

/** The columns that a row gets, as the command line names them. */
export function addedColumns(labels) {
  return ["predicted_label", ...labels.map((label) => `score_${label}`), "prediction_error"];
}

/**
 * Return the file's content: every row of the input with its columns, and what was found.
 * @param {{columns: string[], rows: {cells: any[], text: string, problem: string}[]}} input A row
 *   has a text or a problem.
 * @param {Function} get Returns the score of a text.
 * @param {string[]} labels In the order of the model.
 */
export function table({ columns, rows }, get, labels) {
  const scored = rows.map(({ cells, text, problem }) => [
    ...columns.map((_, index) => cell(cells[index])),
    ...added(problem ? { problem } : get(text), labels),
  ]);
  return format([[...columns, ...addedColumns(labels)], ...scored]);
}

function cell(value) {
  return typeof value === "string" ? value : value == null ? "" : JSON.stringify(value);
}

function added(found, labels) {
  if (found?.labels) {
    return [found.labels[0].label, ...labels.map((label) => scoreOf(found.labels, label)), ""];
  }
  return ["", ...labels.map(() => ""), found?.problem ?? "not asked for"];
}

/** Let the browser save it. */
export function download(content) {
  // Without the mark, Excel does not take the file for UTF-8.
  const url = URL.createObjectURL(new Blob(["\ufeff", content], { type: "text/csv" }));
  el("a", { href: url, download: "scored.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
