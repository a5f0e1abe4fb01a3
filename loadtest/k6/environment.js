// The settings of a scenario: environment variables with defaults. Those that were read are kept
// in `settings`, which the summary repeats.
const UNITS_S = { h: 3600, m: 60, s: 1, ms: 0.001 };

export const settings = {};

export function text(name, fallback) {
  settings[name] = __ENV[name] || fallback;
  return settings[name];
}

export function number(name, fallback) {
  const value = Number(text(name, fallback));
  if (!(value >= 0)) {
    throw new Error(`${name} must be a number of at least 0, not ${__ENV[name]}`);
  }
  settings[name] = value;
  return value;
}

// Seconds from a duration as k6 writes it, "1h30m" or "90s" for instance.
export function seconds(name, fallback) {
  const value = text(name, fallback);
  if (!/^(\d+(\.\d+)?(ms|h|m|s))+$/.test(value)) {
    throw new Error(`${name} must be a duration such as 90s or 1h30m, not ${value}`);
  }
  return [...value.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)].reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * UNITS_S[unit],
    0,
  );
}
