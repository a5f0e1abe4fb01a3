/** The heat map: what each word of the selected text does to the score of a label. */

import { predict, Problem } from "/lab/api.js";
import { byId, el, hide, offer } from "/lab/dom.js";
import { counted, difference } from "/lab/numbers.js";
import { pieces, without } from "/lab/occlusion.js";
import { patiently } from "/lab/patience.js";
import { refusal } from "/lab/requests.js";
import { scoreOf } from "/lab/scores.js";

/** Smaller differences are not coloured as if they were strong. */
const LEAST_SCALE = 0.05;
const NOTE = byId("words-note").textContent;

export class Words {
  /**
   * @param {{wait: Function, report: Function, done: Function}} told What is being waited for, a
   *   problem that is for a person, or that there is none any more.
   */
  constructor(told) {
    this.told = told;
    this.text = null;
    this.found = null;
    byId("words-label").addEventListener("change", () => this.#draw());
    byId("explain").addEventListener("click", () => this.explain());
  }

  /** Take another text; what was shown of the one before goes. */
  select(text, labels, limits) {
    const known = labels && !refusal(text, limits) && pieces(text, limits).length > 1;
    byId("words").hidden = !known;
    if (!known) return this.#reset(null);
    if (text === this.text) return undefined;
    this.#reset(text);
    this.limits = limits;
    offer(byId("words-label"), labels.map((each) => each.label), labels[0].label);
    byId("words-label").value = labels[0].label;
    return undefined;
  }

  /** Ask for the text with each word left out, in one request, and show the differences. */
  async explain() {
    if (this.text === null || this.found || this.running) return;
    const running = new AbortController();
    this.#setRunning(running);
    const parts = pieces(this.text, this.limits);
    const texts = [this.text, ...parts.map((part) => without(this.text, part))];
    try {
      const { signal } = running;
      const answer = await patiently(() => predict(texts, signal), signal, this.told.wait);
      this.told.done();
      this.found = { parts, scores: answer.predictions };
      this.#draw();
    } catch (error) {
      if (error instanceof Problem) this.told.report(error);
      else if (!running.signal.aborted) throw error;
    } finally {
      if (this.running === running) this.#setRunning(null);
    }
  }

  #reset(text) {
    this.running?.abort();
    this.#setRunning(null);
    this.text = text;
    this.found = null;
    this.#draw();
  }

  #setRunning(controller) {
    this.running = controller;
    // A button that is disabled would lose the focus.
    byId("explain").setAttribute("aria-disabled", controller !== null);
  }

  #draw() {
    byId("words-legend").hidden = this.found === null;
    byId("words-summary").textContent = "";
    byId("words-note").textContent = NOTE;
    if (!this.found) {
      byId("explain").hidden = false;
      byId("words-list").replaceChildren();
      return;
    }
    const label = byId("words-label").value;
    const [whole, ...rest] = this.found.scores.map((each) => scoreOf(each, label));
    const effects = rest.map((score) => whole - score);
    const words = this.found.parts.map(({ start, end }) => this.text.slice(start, end));
    const scale = Math.max(LEAST_SCALE, ...effects.map(Math.abs));
    byId("words-list").replaceChildren(
      ...words.map((word, index) => item(word, effects[index], scale)),
    );
    byId("words-summary").textContent = summary(words, effects, label);
    if (words.some((word) => /\s/.test(word))) {
      byId("words-note").textContent =
        `${NOTE} The text is long: it is divided into ${counted(words.length, "group")} of words.`;
    }
    hide(byId("explain"), byId("words-list"));
  }
}

function item(word, effect, scale) {
  const direction = effect > 0 ? "up" : effect < 0 ? "down" : "";
  const shown = el("li", { class: direction }, el("span", { class: "word" }, word), " ");
  shown.append(el("span", { class: "effect" }, difference(effect)));
  shown.style.setProperty("--strength", Math.abs(effect) / scale);
  return shown;
}

function summary(words, effects, label) {
  const up = effects.indexOf(Math.max(...effects));
  const down = effects.indexOf(Math.min(...effects));
  const parts = [];
  if (effects[up] > 0) {
    parts.push(`“${words[up]}” pulls ${label} up most (${difference(effects[up])})`);
  }
  if (effects[down] < 0) {
    const what = parts.length ? "it" : label;
    parts.push(`“${words[down]}” pulls ${what} down most (${difference(effects[down])})`);
  }
  return parts.length ? `${parts.join("; ")}.` : "No word matters by itself.";
}
