// A few texts are asked for often, most of them once: what a cache meets in the field.
import { seconds } from './k6/environment.js';
import { zipf } from './k6/mixes.js';
import { options as build, P99, steady } from './k6/options.js';
import { predict, setup } from './k6/service.js';
import { summary } from './k6/summary.js';

const texts = zipf();

export const options = build(
  { zipf: steady(seconds('DURATION', '60s')) },
  { answered_duration: [P99] },
);

export { setup };

export default function () {
  predict(texts());
}

export const handleSummary = summary('zipf');
