/** The scores of the texts, asked of the service once for each distinct text. */

import { predict, Problem } from "/lab/api.js";
import { patiently } from "/lab/patience.js";
import { divide, refusal } from "/lab/requests.js";

const REQUESTS_AT_ONCE = 2;
/** So many texts that are no longer shown are remembered for when they come back. */
const FORMER_TEXTS = 5000;

/**
 * Score of one text: `labels`, highest first; `source`, "cache", "model", or "mixed" where its
 * request does not tell; `truncated`; or else `problem`, why there is none.
 */
export class Scores {
  constructor(limits) {
    this.limits = limits;
    this.known = new Map();
  }

  /** Return the score of a text, undefined while there is none. */
  get(text) {
    return this.known.get(text);
  }

  /** Forget everything but these texts. */
  forget(texts = []) {
    const kept = new Set(texts);
    for (const text of this.known.keys()) if (!kept.has(text)) this.known.delete(text);
  }

  /** Return those texts that have to be asked for, each once. */
  missing(texts) {
    return [...new Set(texts)].filter((text) => !this.known.get(text)?.labels);
  }

  /**
   * Ask for what is missing, or for all texts again.
   * @param {string[]} texts
   * @param {{again: boolean, signal: AbortSignal, onAnswer: Function, onWait: Function}} run
   *   `onAnswer` is told each answer, undefined where a request failed, and its number of texts.
   * @throws {Problem} 401, for which somebody has to give a key.
   */
  async ask(texts, { again = false, signal, onAnswer, onWait }) {
    if (this.known.size > new Set(texts).size + FORMER_TEXTS) this.forget(texts);
    const wanted = again ? [...new Set(texts)] : this.missing(texts);
    const accepted = wanted.filter((text) => !this.#refused(text));
    const requests = divide(accepted, this.limits);
    const work = async () => {
      for (let request = requests.shift(); request; request = requests.shift()) {
        onAnswer(await this.#score(request, signal, onWait), request.length);
      }
    };
    await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, work));
  }

  #refused(text) {
    const reason = refusal(text, this.limits);
    if (reason) this.known.set(text, { problem: reason });
    return reason !== null;
  }

  async #score(texts, signal, onWait) {
    try {
      const answer = await patiently(() => predict(texts, signal), signal, onWait);
      const source = answer.misses === 0 ? "cache" : answer.hits === 0 ? "model" : "mixed";
      texts.forEach((text, index) => {
        const truncated = answer.truncated.has(index);
        this.known.set(text, { labels: answer.predictions[index], source, truncated });
      });
      return answer;
    } catch (error) {
      if (!(error instanceof Problem) || error.status === 401) throw error;
      for (const text of texts) this.known.set(text, { problem: error.detail, error });
      return undefined;
    }
  }
}

/** Return a label's score in a list of labels. */
export function scoreOf(labels, label) {
  return labels.find((each) => each.label === label)?.score ?? 0;
}
