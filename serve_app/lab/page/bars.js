/** Bars whose parts are shares of one. */

import { el } from "/lab/dom.js";

/**
 * Fill a bar.
 * @param {Element} bar
 * @param {{share: number, colour: string}[]} parts
 */
export function fillBar(bar, parts) {
  bar.replaceChildren(
    ...parts.map(({ share, colour }) => {
      const part = el("span", { class: colour });
      part.style.setProperty("--share", share);
      return part;
    }),
  );
}
