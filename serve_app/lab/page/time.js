/** Where the time of the last run went: the service's stages, and the way to it. */

import { fillBar } from "/lab/bars.js";
import { byId, el } from "/lab/dom.js";
import { count, counted, milliseconds } from "/lab/numbers.js";

const STAGES = [
  ["cache", "Cache look-up", "c1"],
  ["queue", "Waiting for the model", "c6"],
  ["inference", "Model", "c0"],
  ["rest", "Rest of the gateway", "c3"],
  ["way", "Proxy, network, browser", "c7"],
];

/** Adds up the answers of a run. */
export class RunTime {
  constructor() {
    this.requests = this.hits = this.texts = this.elapsedMs = 0;
    this.sums = Object.fromEntries(STAGES.map(([name]) => [name, 0]));
  }

  /** Add an answer of `predict`. */
  add({ stages, elapsedMs, hits, misses }) {
    const { cache = 0, queue = 0, inference = 0, total = 0 } = stages;
    const rest = Math.max(0, total - cache - queue - inference);
    const all = { cache, queue, inference, rest, way: Math.max(0, elapsedMs - total) };
    for (const [name, ms] of Object.entries(all)) this.sums[name] += ms;
    this.elapsedMs += elapsedMs;
    this.requests += 1;
    this.hits += hits;
    this.texts += hits + misses;
  }

  /** Show the mean of its requests, one at least. */
  show() {
    byId("time").hidden = false;
    const means = STAGES.map(([name, title, colour]) => ({
      title,
      colour,
      ms: this.sums[name] / this.requests,
    }));
    const elapsed = this.elapsedMs / this.requests;
    const sum = means.reduce((before, { ms }) => before + ms, 0);
    fillBar(byId("time-bar"), means.map(({ ms, colour }) => ({ share: ms / sum, colour })));
    byId("time-stages").replaceChildren(
      ...means.map(({ title, colour, ms }) =>
        el("div", {}, el("dt", { class: `name ${colour}` }, title), el("dd", {}, milliseconds(ms))),
      ),
      el("div", { class: "sum" }, el("dt", {}, "In all"), el("dd", {}, milliseconds(elapsed))),
    );
    // Each stage is told for its slowest text: of texts computed one after the other, the second
    // waits while the first is computed.
    const overlap = sum > elapsed ? " Stages of different texts overlap." : "";
    const of = this.requests === 1 ? "The last request" : `Mean of ${count(this.requests)} requests`;
    byId("time-note").textContent =
      `${of}; ${count(this.hits)} of ${counted(this.texts, "text")} came from the cache.${overlap}`;
  }
}
