/** Every label of the selected text. */

import { fillBar } from "/lab/bars.js";
import { colourClass } from "/lab/colours.js";
import { byId, el } from "/lab/dom.js";
import { score } from "/lab/numbers.js";

/** Show a text and its score; hide the part where there is none. */
export function showDetail(text, found, labels) {
  byId("detail").hidden = !found?.labels;
  if (!found?.labels) return;
  byId("detail-text").textContent = text;
  byId("detail-truncated").hidden = !found.truncated;
  byId("detail-labels").replaceChildren(
    ...found.labels.map((each) => {
      const bar = el("span", { class: "stack tall", "aria-hidden": "true" });
      fillBar(bar, [{ share: each.score, colour: colourClass(each.label, labels) }]);
      return el(
        "li",
        {},
        el("span", { class: "name" }, each.label),
        bar,
        el("span", { class: "value" }, score(each.score)),
      );
    }),
  );
}
