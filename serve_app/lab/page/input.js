/** Where texts come from: the text area, a file, a sample. */

import { byId, el } from "/lab/dom.js";
import { FileRefused } from "/lab/decoding.js";
import { lines, readTexts, rowsOf } from "/lab/files.js";
import { bytes, counted } from "/lab/numbers.js";
import { SAMPLES } from "/lab/samples.js";

const DEBOUNCE_MS = 200;

export class Input {
  /**
   * @param {Function} onChange Told that `texts` is another list.
   * @param {Function} onProblem Told a title and a detail of what cannot be taken.
   */
  constructor(onChange, onProblem) {
    this.file = null;
    this.onChange = onChange;
    this.onProblem = onProblem;
    this.area = byId("texts");
    this.area.addEventListener("input", () => this.#changeSoon());
    byId("clear").addEventListener("click", () => this.write(""));
    byId("file-remove").addEventListener("click", () => this.write(this.area.value));
    byId("file-column").addEventListener("change", (event) => {
      this.file.column = Number(event.target.value);
      this.#showFile();
      this.onChange();
    });
    byId("file-header").addEventListener("change", (event) => {
      this.file.header = event.target.checked;
      this.#showFile();
      this.onChange();
    });
    byId("file-input").addEventListener("change", (event) => {
      if (event.target.files.length) this.read(event.target.files[0]);
      event.target.value = "";
    });
    for (const { name, content } of SAMPLES) {
      const button = el("button", { type: "button" }, name);
      button.addEventListener("click", () => this.write(content));
      byId("samples").append(button);
    }
    this.#takeDrops();
  }

  /** The texts as they are now. */
  get texts() {
    if (!this.file) return lines(this.area.value);
    return rowsOf(this.file).flatMap(({ text }) => text ?? []);
  }

  /** The texts as rows of a table: its columns, and the cells and the text, or the problem, of each row. */
  get table() {
    const { file } = this;
    if (!file) return { columns: ["text"], rows: this.texts.map((text) => ({ text, cells: [text] })) };
    const cells = file.rows.slice(file.header ? 1 : 0);
    const rows = rowsOf(file).map((row, index) => ({ ...row, cells: cells[index] }));
    const width = file.rows.reduce((widest, row) => Math.max(widest, row.length), 0);
    const columns = Array.from({ length: width }, (_, index) => columnName(file, index));
    return { columns: file.table ? columns : ["text"], rows };
  }

  /** What a person changes the texts with. */
  get control() {
    return this.file ? byId("file-remove") : this.area;
  }

  /** Do not tell of what was typed a moment ago: whoever calls this takes it. */
  settle() {
    clearTimeout(this.timer);
  }

  /** Put a content into the text area. */
  write(content) {
    this.file = null;
    this.area.value = content;
    this.#showFile();
    this.area.setSelectionRange(0, 0);
    this.area.scrollTop = 0;
    this.area.focus();
    this.#change();
  }

  /** Take the texts of a file. */
  async read(file) {
    try {
      this.file = await readTexts(file);
    } catch (error) {
      if (!(error instanceof FileRefused)) throw error;
      this.onProblem({ title: "This file cannot be taken", detail: error.message });
      return;
    }
    this.#showFile();
    byId("file-remove").focus();
    this.#change();
  }

  #changeSoon() {
    this.settle();
    this.timer = setTimeout(() => this.#change(), DEBOUNCE_MS);
  }

  #change() {
    this.settle();
    this.onChange();
  }

  #showFile() {
    const { file } = this;
    byId("typed").hidden = file !== null;
    byId("file").hidden = file === null;
    if (!file) return;
    const rows = rowsOf(file);
    const first = rows.findIndex(({ problem }) => problem);
    const left = rows.filter(({ problem }) => problem).length;
    byId("file-name").textContent = file.name;
    byId("file-size").textContent =
      `${bytes(file.size)}, ${counted(rows.length, "row")}` +
      (left ? `, ${left} left out (row ${first + 1}: ${rows[first].problem})` : "");
    byId("file-columns").hidden = !file.table;
    byId("file-header").checked = file.header;
    byId("file-header").disabled = file.named;
    byId("file-column").replaceChildren(
      ...file.rows[0].map((_, index) =>
        el("option", { value: index }, columnName(file, index)),
      ),
    );
    byId("file-column").value = file.column;
  }

  #takeDrops() {
    const area = byId("drop");
    let depth = 0;
    const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragenter", (event) => {
      if (!holdsFiles(event)) return;
      depth += 1;
      area.hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (!holdsFiles(event)) return;
      depth = Math.max(0, depth - 1);
      area.hidden = depth > 0 ? area.hidden : true;
    });
    addEventListener("dragover", (event) => {
      if (holdsFiles(event)) event.preventDefault();
    });
    addEventListener("drop", (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      depth = 0;
      area.hidden = true;
      const [file] = event.dataTransfer.files;
      if (file) this.read(file);
      else this.onProblem({ title: "This cannot be taken", detail: "There is no file in it." });
    });
  }
}

function columnName({ header, rows }, index) {
  return (header && rows[0][index]) || `column ${index + 1}`;
}
