/** CSV as in RFC 4180, read and written. */

const NAMES = /^(text|sentence|review|comment|body|content|message|tweet|title)s?$/i;
const SEPARATORS = [",", ";", "\t"];
/** What spreadsheets compute, as `FORMULA` of serve_app/files/writer.py has it. */
const FORMULA = /^(?:[\s\0\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])/;

/** Return the rows of a file, each a list of fields; its separator is found in the first line. */
export function parse(content) {
  const [firstLine] = content.split(/[\r\n]/, 1);
  const counts = SEPARATORS.map((each) => firstLine.split(each).length);
  const separator = SEPARATORS[counts.indexOf(Math.max(...counts))];
  const rows = [];
  let row = [];
  let at = 0;
  while (at < content.length) {
    const read = content[at] === '"' ? quoted : plain;
    const [field, end] = read(content, at, separator);
    row.push(field);
    at = end;
    if (content[at] === separator) {
      at += 1;
      if (at < content.length) continue;
      row.push("");
    }
    rows.push(row);
    row = [];
    if (content[at] === "\r") at += 1;
    if (content[at] === "\n") at += 1;
  }
  return rows.filter((fields) => fields.some((field) => field.trim() !== ""));
}

/**
 * Guess where the texts are: the column with a telling name, else the one with the longest fields.
 * @returns {{column: number, header: boolean}}
 */
export function guess(rows) {
  const named = (rows[0] ?? []).findIndex((name) => NAMES.test(name.trim()));
  if (named >= 0) return { column: named, header: true };
  const sample = rows.slice(0, 50);
  const lengths = (rows[0] ?? []).map((_, column) =>
    sample.reduce((sum, row) => sum + (row[column] ?? "").length, 0),
  );
  return { column: Math.max(0, lengths.indexOf(Math.max(...lengths))), header: false };
}

/** Return the text of a file; a field that a spreadsheet would compute gets an apostrophe. */
export function format(rows) {
  return rows.map((row) => `${row.map(field).join(",")}\r\n`).join("");
}

function field(value) {
  const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function plain(content, start, separator) {
  let end = start;
  while (end < content.length && ![separator, "\n", "\r"].includes(content[end])) end += 1;
  return [content.slice(start, end), end];
}

function quoted(content, start, separator) {
  const parts = [];
  let from = start + 1;
  for (;;) {
    const quote = content.indexOf('"', from);
    if (quote < 0) return [parts.join("") + content.slice(from), content.length];
    parts.push(content.slice(from, quote));
    if (content[quote + 1] !== '"') {
      // What follows the closing quote is of the field as well, as for Python's csv.
      const [rest, end] = plain(content, quote + 1, separator);
      return [parts.join("") + rest, end];
    }
    parts.push('"');
    from = quote + 2;
  }
}
