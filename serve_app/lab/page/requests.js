/** Texts divided into requests that the service takes. */

import { count } from "/lab/numbers.js";

/** Small enough that a bar moves, large enough that requests cost little beside their texts. */
export const TEXTS_A_REQUEST = 64;

const FRAME_BYTES = 64;
const encoder = new TextEncoder();

/** Bytes of a text in a request's body. */
export function bodyBytes(text) {
  return encoder.encode(JSON.stringify(text)).length + 1;
}

/**
 * Say why the service would refuse a text, or null.
 * @param {string} text
 * @param limits `limits` of `/project/info`.
 */
export function refusal(text, limits) {
  // The service counts characters, of which UTF-16 may take two units.
  const characters = text.length > limits.max_chars ? [...text].length : text.length;
  if (characters > limits.max_chars) {
    return `${count(characters)} characters; the service takes ${count(limits.max_chars)}`;
  }
  if (bodyBytes(text) + FRAME_BYTES > limits.max_body_bytes) {
    return `larger than the ${count(limits.max_body_bytes)} bytes that the service takes`;
  }
  return null;
}

/** Divide texts, none of which would be refused, into lists for one request each. */
export function divide(texts, limits) {
  const most = Math.min(TEXTS_A_REQUEST, limits.max_texts);
  const requests = [];
  let bytes = Infinity;
  for (const text of texts) {
    const more = bodyBytes(text);
    const last = requests.at(-1);
    if (!last || last.length >= most || bytes + more > limits.max_body_bytes) {
      requests.push([text]);
      bytes = FRAME_BYTES + more;
    } else {
      last.push(text);
      bytes += more;
    }
  }
  return requests;
}
