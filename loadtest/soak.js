// A moderate rate for a long time: what leaks, fills up or drifts.
import { number, seconds } from './k6/environment.js';
import { chosen } from './k6/mixes.js';
import { openModel, options as build, P99 } from './k6/options.js';
import { predict, setup } from './k6/service.js';
import { summary } from './k6/summary.js';

const texts = chosen('zipf');

export const options = build(
  {
    soak: {
      ...openModel(),
      executor: 'constant-arrival-rate',
      rate: number('RATE', 10),
      duration: `${seconds('DURATION', '1h')}s`,
    },
  },
  { answered_duration: [P99] },
);

export { setup };

export default function () {
  predict(texts());
}

export const handleSummary = summary('soak');
