/** The table of texts: label and scores of each, and where they came from. */

import { fillBar } from "/lab/bars.js";
import { colourClass } from "/lab/colours.js";
import { byId, el } from "/lab/dom.js";
import { count, score } from "/lab/numbers.js";
import { scoreOf } from "/lab/scores.js";

const ROWS_AT_ONCE = 100;
const SOURCES = {
  cache: ["cache", "Its score was known."],
  model: ["model", "The model computed it for this request."],
  mixed: ["either", "Its request had texts from the cache and others; the service tells how many."],
};

const CUT = "The model reads only its beginning.";

export class Results {
  /**
   * @param {Function} onSelect Told the index of the text that a person selects.
   */
  constructor(onSelect) {
    this.body = byId("rows");
    this.more = byId("more");
    this.most = ROWS_AT_ONCE;
    this.rows = [];
    this.onSelect = onSelect;
    this.more.addEventListener("click", () => {
      const next = this.most;
      this.most += ROWS_AT_ONCE;
      this.show(...this.shown);
      this.rows[next]?.pick.focus();
    });
  }

  /** Show texts; rows that stay keep their elements, and with them the keyboard's focus. */
  show(texts, scores, labels, selected) {
    this.shown = [texts, scores, labels, selected];
    const visible = Math.min(texts.length, this.most);
    while (this.rows.length < visible) this.#add();
    while (this.rows.length > visible) this.rows.pop().row.remove();
    this.rows.forEach((row, index) => {
      update(row, texts[index], scores?.get(texts[index]), labels, index === selected);
    });
    const hidden = texts.length - visible;
    this.more.hidden = hidden === 0;
    this.more.textContent = `Show ${count(Math.min(hidden, ROWS_AT_ONCE))} more of ${count(hidden)}`;
    byId("results").hidden = texts.length === 0;
    byId("empty").hidden = texts.length > 0;
  }

  #add() {
    const index = this.rows.length;
    const pick = el("button", { type: "button", class: "pick" });
    const label = el("span", { class: "top-label" });
    const bar = el("span", { class: "stack", "aria-hidden": "true" });
    const from = el("td", { class: "from" });
    const row = el(
      "tr",
      {},
      el("td", { class: "number" }, count(index + 1)),
      el("td", { class: "text" }, pick),
      el("td", { class: "scores" }, label, bar),
      from,
    );
    pick.addEventListener("click", () => this.onSelect(index));
    this.body.append(row);
    this.rows.push({ row, pick, label, bar, from });
  }
}

function update({ row, pick, label, bar, from }, text, found, labels, selected) {
  if (pick.textContent !== text) pick.textContent = text;
  pick.setAttribute("aria-pressed", selected);
  row.className = selected ? "selected" : "";
  from.replaceChildren();
  bar.hidden = !found?.labels;
  if (found?.labels) {
    const [top] = found.labels;
    label.replaceChildren(
      el("span", { class: `name ${colourClass(top.label, labels)}` }, top.label),
      el("span", { class: "value" }, score(top.score)),
    );
    const parts = labels.map((each) => ({
      share: scoreOf(found.labels, each),
      colour: colourClass(each, labels),
    }));
    fillBar(bar, parts);
    const [source, title] = SOURCES[found.source];
    from.append(el("span", { class: `source ${found.source}`, title }, source));
    if (found.truncated) from.append(el("span", { class: "source", title: CUT }, "cut"));
  } else {
    const shown = found?.problem ? el("span", { class: "failed" }, found.problem) : "…";
    label.replaceChildren(shown);
  }
}
