/** A request for one text as a command line. */

import { hasKey, predictUrl } from "/lab/api.js";
import { byId } from "/lab/dom.js";

/** Return a command for a POSIX shell; the key is named, and not told. */
export function curl(text) {
  // A quote would end the word of the shell; JSON has another way to write it.
  const body = JSON.stringify({ text: [text] }).replaceAll("'", "\\u0027");
  const key = hasKey() ? ' -H "Authorization: Bearer $SENTIMENT_API_KEY"' : "";
  return `curl '${predictUrl()}'${key} -d '${body}'`;
}

/** Show the command for a text, select it, and copy it where the browser lets a page do so. */
export async function copyCurl(text) {
  const shown = byId("curl-command");
  shown.textContent = curl(text);
  byId("curl").hidden = false;
  getSelection().selectAllChildren(shown);
  byId("curl-note").textContent = (await copied(shown.textContent))
    ? "Copied."
    : "The browser does not let this page copy: copy what is selected.";
}

/** Hide the command of an earlier text. */
export function clearCurl() {
  byId("curl").hidden = true;
  byId("curl-note").textContent = "";
}

async function copied(command) {
  try {
    await navigator.clipboard.writeText(command);
    return true;
  } catch {
    // A page that came over plain HTTP from another machine has no `clipboard`.
    return document.execCommand("copy");
  }
}
