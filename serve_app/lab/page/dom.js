/** Elements made and found. Texts become text nodes and never markup. */

const SVG = "http://www.w3.org/2000/svg";

/** Return the element of the page with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * Make an element.
 * @param {string} name Tag.
 * @param {Object} attributes `class`, `data-…`, `aria-…` and so on.
 * @param {...(Node|string)} children
 */
export function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Make an SVG element; see `el`. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/** Hide an element; where it has the focus, which would be lost, that goes elsewhere. */
export function hide(element, next) {
  const focused = element.contains(document.activeElement);
  element.hidden = true;
  if (focused) next.focus();
}

/** Offer labels in a select, keeping the choice where it is still there. */
export function offer(select, labels, preferred) {
  const chosen = labels.includes(select.value) ? select.value : preferred;
  select.replaceChildren(...labels.map((label) => el("option", { value: label }, label)));
  if (chosen !== undefined) select.value = chosen;
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
