/** Which texts the table shows, and in which order. */

import { byId, el } from "/lab/dom.js";
import { count, counted } from "/lab/numbers.js";

const EVERY = "";
/** No label of a model begins with a line feed. */
const NONE = "\nnone";

const confidence = (found) => found?.labels?.[0].score;
const labelOf = (found) => found?.labels?.[0].label;

/**
 * Return the indices of the texts to show, in order.
 * @param {Object[]} found The score of each text; undefined while there is none.
 * @param {string[]} labels In the order of the model.
 * @param {{label: string, from: number, to: number, sort: string}} wanted
 */
export function arrange(found, labels, { label, from, to, sort }) {
  const fits = (each) => {
    if (label === NONE) return !each?.labels;
    if (label !== EVERY && labelOf(each) !== label) return false;
    if (from <= 0 && to >= 1) return true;
    return confidence(each) >= from && confidence(each) <= to;
  };
  const indices = [...found.keys()].filter((index) => fits(found[index]));
  const place = (index) => (found[index]?.labels ? labels.indexOf(labelOf(found[index])) : Infinity);
  const lower = (a, b) => (confidence(found[a]) ?? Infinity) - (confidence(found[b]) ?? Infinity) || 0;
  const higher = (a, b) => (confidence(found[b]) ?? -1) - (confidence(found[a]) ?? -1);
  const orders = {
    lower,
    higher,
    label: (a, b) => place(a) - place(b) || higher(a, b),
  };
  return sort in orders ? indices.sort(orders[sort]) : indices;
}

/** The controls above the table. */
export class Arrangement {
  /** @param {Function} onChange Called when somebody wants other texts or another order. */
  constructor(onChange) {
    for (const id of ["sort", "only-label", "from", "to"]) {
      byId(id).addEventListener("input", onChange);
    }
  }

  /** Return the indices of the texts to show, and say how many there are. */
  apply(found, labels) {
    this.#offer(labels);
    const shown = arrange(found, labels, {
      label: byId("only-label").value,
      from: number(byId("from"), 0),
      to: number(byId("to"), 1),
      sort: byId("sort").value,
    });
    byId("arrangement").hidden = found.length < 2;
    byId("shown").textContent =
      shown.length < found.length ? `${count(shown.length)} of ${counted(found.length, "text")} shown` : "";
    return shown;
  }

  #offer(labels) {
    const select = byId("only-label");
    const options = [[EVERY, "every label"], ...labels.map((each) => [each, each]), [NONE, "no score"]];
    const values = options.map(([value]) => value);
    if (values.join() === [...select.options].map(({ value }) => value).join()) return;
    const chosen = values.includes(select.value) ? select.value : EVERY;
    select.replaceChildren(...options.map(([value, name]) => el("option", { value }, name)));
    select.value = chosen;
  }
}

function number(input, otherwise) {
  return Number.isNaN(input.valueAsNumber) ? otherwise : input.valueAsNumber;
}
