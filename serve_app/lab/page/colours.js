/** One colour for each label, in the order in which the model has them. */

const COLOURS = 8;

/** Return the class that colours a label's bars; beyond eight labels colours repeat. */
export function colourClass(label, labels) {
  return `c${Math.max(0, labels.indexOf(label)) % COLOURS}`;
}
