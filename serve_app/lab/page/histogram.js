/** How the scores of one label are distributed. */

import { colourClass } from "/lab/colours.js";
import { byId, el, offer, svg } from "/lab/dom.js";
import { count, counted, percent } from "/lab/numbers.js";
import { scoreOf } from "/lab/scores.js";

const BINS = 20;
const LEAST_TEXTS = 5;
const WIDTH = 400;
const HEIGHT = 120;

/** Return how many scores lie in each twentieth; one belongs to the last. */
export function bins(scores) {
  const counts = new Array(BINS).fill(0);
  for (const score of scores) counts[Math.min(BINS - 1, Math.floor(score * BINS))] += 1;
  return counts;
}

export class Histogram {
  constructor() {
    byId("distribution-label").addEventListener("change", () => this.show(...this.shown));
  }

  /** Show the scores; hide the part where there are too few. */
  show(found, labels) {
    this.shown = [found, labels];
    byId("distribution").hidden = found.length < LEAST_TEXTS;
    if (found.length < LEAST_TEXTS) return;
    offer(byId("distribution-label"), labels, labels.at(-1));
    const label = byId("distribution-label").value;
    const counts = bins(found.map((each) => scoreOf(each.labels, label)));
    byId("distribution-counts").replaceChildren(...tops(found, labels));
    byId("distribution-chart").replaceChildren(chart(counts, label, colourClass(label, labels)));
    byId("distribution-numbers").replaceChildren(
      ...counts.map((number, bin) =>
        el("tr", {}, el("td", {}, range(bin)), el("td", {}, count(number))),
      ),
    );
  }
}

function tops(found, labels) {
  return labels.map((label) => {
    const number = found.filter((each) => each.labels[0].label === label).length;
    return el(
      "span",
      { class: `name ${colourClass(label, labels)}` },
      `${label} ${count(number)} (${percent(number / found.length)})`,
    );
  });
}

function chart(counts, label, colour) {
  const most = Math.max(...counts);
  const fullest = counts.indexOf(most);
  const total = counts.reduce((sum, number) => sum + number, 0);
  const picture = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT + 18}`,
    role: "img",
    class: "chart",
    "aria-label":
      `Histogram of the scores of ${label} of ${counted(total, "text")}; ` +
      `most, ${count(most)}, lie in ${range(fullest)}.`,
  });
  counts.forEach((number, bin) => {
    const height = (number / most) * (HEIGHT - 14);
    const bar = svg("rect", {
      class: colour,
      x: (bin * WIDTH) / BINS + 1,
      y: HEIGHT - height,
      width: WIDTH / BINS - 2,
      height,
      rx: 2,
    });
    bar.append(svg("title", {}, `${range(bin)}: ${counted(number, "text")}`));
    picture.append(bar);
  });
  // At an edge of the picture, a label in the middle of its bar would be cut.
  const [x, anchor] =
    fullest === 0 ? [0, ""] : fullest === BINS - 1 ? [WIDTH, "end"] : [((fullest + 0.5) * WIDTH) / BINS, "middle"];
  picture.append(
    svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }),
    svg("text", { x, y: 10, class: anchor }, count(most)),
    svg("text", { x: 0, y: HEIGHT + 14 }, "0"),
    svg("text", { x: WIDTH / 2, y: HEIGHT + 14, class: "middle" }, "0.5"),
    svg("text", { x: WIDTH, y: HEIGHT + 14, class: "end" }, "1"),
  );
  return picture;
}

function range(bin) {
  return `${(bin / BINS).toFixed(2)} to ${((bin + 1) / BINS).toFixed(2)}`;
}
