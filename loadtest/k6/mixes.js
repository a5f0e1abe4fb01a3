// Which texts a request asks for.
import exec from 'k6/execution';
import { SharedArray } from 'k6/data';
import { number, text } from './environment.js';
import { POOL, review, seeded } from './texts.js';

const TEXTS = number('TEXTS', 10);
// Zipf's law with exponent 1 over this many texts gives the first, the first 10 and the first 100
// texts 4, 15 and 29 % of the traffic; in 10,025 real product reviews they have 4, 17 and 26 %.
const CATALOGUE = 7e6;

const some = (makeText) => Array.from({ length: TEXTS }, makeText);

// NEW_SHARE of the requests, hence of the texts, are new through and through; the others come from
// the pool, each time in another order.
export function family() {
  const newShare = number('NEW_SHARE', 0.05);
  return () => (Math.random() < newShare ? some(newText) : fromPool());
}

export function unique() {
  return () => some(newText);
}

// TRAFFIC, a file with a text a line, from start to end; without one, ranks by Zipf's law.
export function zipf() {
  const path = text('TRAFFIC', '');
  if (!path) {
    // Inverse of the distribution function of a density that falls as 1 / rank.
    return () => some(() => review(seeded(Math.floor(CATALOGUE ** Math.random()))));
  }
  const lines = new SharedArray('traffic', () => open(path).split('\n').filter((line) => line));
  return () => {
    const first = exec.scenario.iterationInTest * TEXTS;
    return some((_, n) => lines[(first + n) % lines.length]);
  };
}

const MIXES = { family, unique, zipf };

// The mix that MIX names.
export function chosen(fallback) {
  const name = text('MIX', fallback);
  if (!(name in MIXES)) {
    throw new Error(`MIX must be one of ${Object.keys(MIXES).join(', ')}, not ${name}`);
  }
  return MIXES[name]();
}

function newText() {
  return review(Math.random);
}

function fromPool() {
  const first = exec.vu.iterationInInstance;
  return some((_, n) => POOL[(first + n) % POOL.length]);
}
