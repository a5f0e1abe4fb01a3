/** The table of texts: label and scores of each, and where they came from. */

import { fillBar } from "/lab/bars.js";
import { colourClass } from "/lab/colours.js";
import { byId, el } from "/lab/dom.js";
import { count, score } from "/lab/numbers.js";
import { scoreOf } from "/lab/scores.js";

const ROWS_AT_ONCE = 100;
/** The words of the column "From", and what they mean. */
const SOURCES = {
  cache: ["cache", "the score was known"],
  model: ["model", "the model computed it for this request"],
  mixed: ["either", "cache or model: the request had texts of both, and the service tells only how many"],
  cut: ["cut", "the model reads only the beginning of the text"],
};

export class Results {
  /**
   * @param {Function} onSelect Told the index of the text that a person selects.
   */
  constructor(onSelect) {
    this.body = byId("rows");
    this.more = byId("more");
    this.most = ROWS_AT_ONCE;
    this.rows = [];
    this.order = [];
    this.onSelect = onSelect;
    this.more.addEventListener("click", () => {
      const next = this.most;
      this.most += ROWS_AT_ONCE;
      this.show(...this.shown);
      this.rows[next]?.pick.focus();
    });
  }

  /**
   * Show texts; rows that stay keep their elements, and with them the keyboard's focus.
   * @param {string[]} texts
   * @param {Object[]} found The score of each text; undefined while there is none.
   * @param {string[]} labels
   * @param {number} selected
   * @param {number[]} order Indices of the texts to show.
   */
  show(texts, found, labels, selected, order) {
    this.shown = [texts, found, labels, selected, order];
    this.order = order;
    const visible = Math.min(order.length, this.most);
    while (this.rows.length < visible) this.#add();
    while (this.rows.length > visible) this.rows.pop().row.remove();
    this.rows.forEach((row, place) => {
      const index = order[place];
      update(row, index, texts[index], found[index], labels, index === selected);
    });
    explain(order.slice(0, visible).map((index) => found[index]));
    const hidden = order.length - visible;
    this.more.hidden = hidden === 0;
    this.more.textContent = `Show ${count(Math.min(hidden, ROWS_AT_ONCE))} more of ${count(hidden)}`;
    byId("results").hidden = texts.length === 0;
    byId("empty").hidden = texts.length > 0;
  }

  #add() {
    const place = this.rows.length;
    const number = el("td", { class: "number" });
    const pick = el("button", { type: "button", class: "pick" });
    const label = el("span", { class: "top-label" });
    const bar = el("span", { class: "stack", "aria-hidden": "true" });
    const from = el("td", { class: "from" });
    const row = el(
      "tr",
      {},
      number,
      el("td", { class: "text" }, pick),
      el("td", { class: "scores" }, label, bar),
      from,
    );
    pick.addEventListener("click", () => this.onSelect(this.order[place]));
    this.body.append(row);
    this.rows.push({ row, number, pick, label, bar, from });
  }
}

/** Say what the words in the column "From" mean. */
function explain(found) {
  const words = Object.keys(SOURCES).filter((name) =>
    found.some((each) => each?.source === name || (name === "cut" && each?.truncated)),
  );
  byId("sources").replaceChildren(
    ...words.flatMap((name) => {
      const [word, meaning] = SOURCES[name];
      return [el("dt", {}, word), el("dd", {}, meaning)];
    }),
  );
}

function update({ row, number, pick, label, bar, from }, index, text, found, labels, selected) {
  number.textContent = count(index + 1);
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
    for (const name of found.truncated ? [found.source, "cut"] : [found.source]) {
      const [word, title] = SOURCES[name];
      from.append(el("span", { class: `source ${name}`, title }, word));
    }
  } else {
    const shown = found?.problem ? el("span", { class: "failed" }, found.problem) : "…";
    label.replaceChildren(shown);
  }
}
