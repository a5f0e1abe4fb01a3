/** CSV as in RFC 4180, read and written. */

import { FileRefused } from "/lab/decoding.js";

const NAMES = /^(text|sentence|review|comment|body|content|message|tweet|title)s?$/i;
const SEPARATORS = [",", ";", "\t"];
/** What spreadsheets compute, as `FORMULA` of serve_app/files/writer.py has it. */
const FORMULA = /^(?:[\s\0\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])/;

/**
 * Return the rows of a file, each a list of fields; blank lines are not rows.
 * @throws {FileRefused} A quote is not closed, or text follows a closing quote.
 */
export function parse(content) {
  const [first] = content.split(/[\r\n]/).filter((line) => !isBlank(line));
  const rows = [];
  let separator = separatorOf(first ?? "", false);
  if (!isNamed(fieldsOf(first ?? "", separator))) separator = separatorOf(first ?? "", true);
  let row = [];
  let at = 0;
  let begins = 0;
  while (at < content.length) {
    if (row.length === 0) {
      begins = at;
      const end = endOf(content, at);
      if (isBlank(content.slice(at, end))) {
        at = afterBreak(content, end);
        continue;
      }
    }
    const isQuoted = content[at] === '"';
    const [field, end] = (isQuoted ? quoted : plain)(content, at, separator);
    if (end < 0) throw brokenQuote(content, begins);
    row.push(field);
    at = end;
    if (separator && content[at] === separator) {
      at += 1;
      if (at < content.length) continue;
      row.push("");
    }
    rows.push(row);
    row = [];
    at = afterBreak(content, at);
  }
  return rows;
}

/** Return whether a line has nothing but spaces. */
export function isBlank(line) {
  return /^[ \r\n]*$/.test(line);
}

/**
 * Guess where the texts are: the column with a telling name, else the one with the longest fields.
 * @returns {{column: number, header: boolean}}
 */
export function guess(rows) {
  const named = (rows[0] ?? []).findIndex(isName);
  if (named >= 0) return { column: named, header: true };
  const sample = rows.slice(0, 50);
  const lengths = (rows[0] ?? []).map((_, column) =>
    sample.reduce((sum, row) => sum + String(row[column] ?? "").length, 0),
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

function isName(field) {
  return typeof field === "string" && NAMES.test(field.trim());
}

function isNamed(fields) {
  return fields.some(isName);
}

/**
 * Return the separator that divides a line into most fields; empty if none does. In a line of
 * texts, unlike in a header, a separator before a space is a comma of the text.
 */
function separatorOf(line, isText) {
  const counts = SEPARATORS.map((each) => {
    const fields = fieldsOf(line, each);
    return isText ? fields.filter((value, index) => !index || !/^ /.test(value)).length : fields.length;
  });
  const most = Math.max(...counts);
  return most > 1 ? SEPARATORS[counts.indexOf(most)] : "";
}

/** Return the fields of a line; a quote that is not closed ends with it. */
function fieldsOf(line, separator) {
  const fields = [];
  let at = 0;
  for (;;) {
    const [field, end] = (line[at] === '"' ? quoted : plain)(line, at, separator);
    fields.push(field);
    if (end < 0 || !separator || line[end] !== separator) return fields;
    at = end + 1;
  }
}

function endOf(content, start) {
  let end = start;
  while (end < content.length && content[end] !== "\n" && content[end] !== "\r") end += 1;
  return end;
}

function afterBreak(content, end) {
  let after = end;
  if (content[after] === "\r") after += 1;
  if (content[after] === "\n") after += 1;
  return after;
}

function plain(content, start, separator) {
  let end = start;
  while (end < content.length && ![separator, "\n", "\r"].includes(content[end])) end += 1;
  return [content.slice(start, end), end];
}

/** Return a quoted field and where it ends; -1 if its quote is not closed there. */
function quoted(content, start, separator) {
  const parts = [];
  let from = start + 1;
  for (;;) {
    const quote = content.indexOf('"', from);
    if (quote < 0) return [content.slice(start), -1];
    parts.push(content.slice(from, quote));
    const next = content[quote + 1];
    if (next !== '"') {
      const closed = [undefined, separator, "\n", "\r"].includes(next);
      return [parts.join(""), closed ? quote + 1 : -1];
    }
    parts.push('"');
    from = quote + 2;
  }
}

function brokenQuote(content, begins) {
  const line = content.slice(0, begins).split(/\r\n|\r|\n/).length;
  return new FileRefused(
    `The CSV row that begins on line ${line} has a quote that is not closed, or text after a ` +
      'closing quote: write a quote in a quoted field twice (""). TSV has no quotes.',
  );
}
