/** The strip of live figures of the whole service. */

import { live, Problem } from "/lab/api.js";
import { byId, el } from "/lab/dom.js";
import { count, milliseconds, percent, rate } from "/lab/numbers.js";

const PERIOD_MS = 2000;
const NONE = "–";

const FIGURES = [
  ["Requests/s", (now) => rate(now.requests_per_s)],
  ["Texts/s", (now) => rate(now.texts_per_s)],
  ["p50", (now) => (now.p50_ms === null ? NONE : milliseconds(now.p50_ms))],
  ["p99", (now) => (now.p99_ms === null ? NONE : milliseconds(now.p99_ms))],
  ["From cache", (now) => (now.hit_ratio === null ? NONE : percent(now.hit_ratio))],
  ["Refused/s", (now) => rate(now.refused_per_s)],
  ["Gateways", (now) => count(now.replicas.gateway)],
  ["Classifiers", (now) => count(now.replicas.classifier)],
];

/** Ask every two seconds while the page is to be seen. */
export function follow() {
  const values = FIGURES.map(([title]) => {
    const value = el("dd", {}, NONE);
    byId("live-figures").append(el("div", {}, el("dt", {}, title), value));
    return value;
  });
  const refresh = async () => {
    if (document.hidden) return;
    const now = await figures();
    values.forEach((value, index) => {
      value.textContent = now ? FIGURES[index][1](now) : NONE;
    });
    byId("live-note").textContent = now
      ? `All replicas of the service, last ${now.window_s} s`
      : "No live figures at the moment";
  };
  const repeat = async () => {
    await refresh();
    setTimeout(repeat, PERIOD_MS);
  };
  document.addEventListener("visibilitychange", refresh);
  repeat();
}

async function figures() {
  try {
    return await live(AbortSignal.timeout(PERIOD_MS));
  } catch (error) {
    if (error instanceof Problem || error.name === "TimeoutError") return null;
    throw error;
  }
}
