// Every text is new, so that every answer costs the model: what the service does without its cache.
import { seconds } from './k6/environment.js';
import { unique } from './k6/mixes.js';
import { options as build, P99, steady } from './k6/options.js';
import { predict, setup } from './k6/service.js';
import { summary } from './k6/summary.js';

const texts = unique();

export const options = build(
  { unique: steady(seconds('DURATION', '60s')) },
  { answered_duration: [P99] },
);

export { setup };

export default function () {
  predict(texts());
}

export const handleSummary = summary('unique');
