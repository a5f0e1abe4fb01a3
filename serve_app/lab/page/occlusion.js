/** What each word does to a score: the difference that leaving it out makes. */

import { bodyBytes } from "/lab/requests.js";

/** More pieces than a person reads; longer texts are divided into as many groups of words. */
const MOST_PIECES = 60;

/**
 * Divide a text into its words, or into groups of as many words as one request can leave out.
 * @param {string} text
 * @param limits `limits` of `/project/info`.
 * @returns {{start: number, end: number}[]}
 */
export function pieces(text, limits) {
  const words = wordsOf(text);
  // The text itself and, for each piece, the text without it, have to fit one request.
  const fitting = Math.floor((limits.max_body_bytes - 64) / bodyBytes(text)) - 1;
  const most = Math.max(1, Math.min(MOST_PIECES, limits.max_texts - 1, fitting));
  const size = Math.ceil(words.length / most);
  const groups = [];
  for (let at = 0; at < words.length; at += size) {
    groups.push({ start: words[at].start, end: words[Math.min(at + size, words.length) - 1].end });
  }
  return groups;
}

/** Return the text without a piece. */
export function without(text, { start, end }) {
  return `${text.slice(0, start).trimEnd()} ${text.slice(end).trimStart()}`.trim();
}

function wordsOf(text) {
  const bySpaces = [...text.matchAll(/\S+/g)].map((match) => ({
    start: match.index,
    end: match.index + match[0].length,
  }));
  if (bySpaces.length > 1 || !("Segmenter" in Intl)) return bySpaces;
  // Languages that put no space between words.
  const segments = new Intl.Segmenter(undefined, { granularity: "word" }).segment(text);
  const found = [...segments].filter((segment) => segment.isWordLike);
  if (found.length < 2) return bySpaces;
  return found.map(({ index, segment }) => ({ start: index, end: index + segment.length }));
}
