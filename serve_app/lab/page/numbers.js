/** Numbers as a person reads them. */

const whole = new Intl.NumberFormat("en");

/** A count, with separators. */
export function count(value) {
  return whole.format(value);
}

/** A count with its noun. */
export function counted(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** A score with three decimals, never rounded up to a certainty that the model does not have. */
export function score(value) {
  if (value > 0.9995 && value < 1) return "> 0.999";
  if (value < 0.0005 && value > 0) return "< 0.001";
  return value.toFixed(3);
}

/** A difference of scores, with its sign. */
export function difference(value) {
  const digits = Math.abs(value).toFixed(3);
  if (digits === "0.000") return "0.000";
  return `${value > 0 ? "+" : "−"}${digits}`;
}

/** Milliseconds with three significant digits at most. */
export function milliseconds(value) {
  if (value >= 1000) return `${(value / 1000).toFixed(value >= 10_000 ? 0 : 1)} s`;
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

/** A rate per second. */
export function rate(value) {
  return value < 100 ? value.toFixed(1) : count(Math.round(value));
}

/** A share of one, in percent. */
export function percent(value) {
  return `${(value * 100).toFixed(value > 0 && value < 0.1 ? 1 : 0)} %`;
}

/** Bytes, in the unit that suits them. */
export function bytes(value) {
  if (value < 1000) return `${value} B`;
  if (value < 1e6) return `${(value / 1e3).toFixed(1)} kB`;
  return `${(value / 1e6).toFixed(1)} MB`;
}
