// The rate rises evenly to RATE, past what the service can do. It has no threshold on latency: the
// report says where the knee is, the highest rate at which p99 keeps P99_MS.
import http from 'k6/http';
import { number, seconds } from './k6/environment.js';
import { chosen } from './k6/mixes.js';
import { openModel, options as build } from './k6/options.js';
import { predict, setup } from './k6/service.js';
import { summary } from './k6/summary.js';

http.setResponseCallback(http.expectedStatuses(200, 429));

const texts = chosen('zipf');

export const options = build(
  {
    breakpoint: {
      ...openModel(),
      executor: 'ramping-arrival-rate',
      startRate: 1,
      stages: [{ target: number('RATE', 200), duration: `${seconds('DURATION', '2m')}s` }],
    },
  },
  {},
);

export { setup };

export default function () {
  predict(texts());
}

export const handleSummary = summary('breakpoint');
