/** The scores as a CSV file. */

import { format } from "/lab/csv.js";
import { el } from "/lab/dom.js";
import { scoreOf } from "/lab/scores.js";

/** Return the file's content: a row for each text, a column for each label. */
export function table(texts, scores, labels) {
  const names = ["text", "label", "score", ...labels.map((label) => `score_${label}`)];
  const rows = texts.map((text) => {
    const found = scores.get(text);
    if (!found?.labels) return [text, "", "", ...labels.map(() => ""), "", "", found?.problem ?? ""];
    const [top] = found.labels;
    const each = labels.map((label) => scoreOf(found.labels, label));
    return [text, top.label, top.score, ...each, found.truncated, found.source, ""];
  });
  return format([[...names, "truncated", "source", "problem"], ...rows]);
}

/** Let the browser save it. */
export function download(content) {
  // Without the mark, Excel does not take the file for UTF-8.
  const url = URL.createObjectURL(new Blob(["\ufeff", content], { type: "text/csv" }));
  el("a", { href: url, download: "scores.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
