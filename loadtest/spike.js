// Four phases of equal length: calm, a spike of many times the rate, recovery, calm again. The spike
// may be refused with 429, which is what the contract promises; calm has to be calm, before and after.
import http from 'k6/http';
import { number, seconds } from './k6/environment.js';
import { chosen } from './k6/mixes.js';
import { openModel, options as build, P99 } from './k6/options.js';
import { predict, setup } from './k6/service.js';
import { summary } from './k6/summary.js';

http.setResponseCallback(http.expectedStatuses(200, 429));

const RATE = number('RATE', 5);
const SPIKE_RATE = number('SPIKE_RATE', 100);
const phase_s = seconds('DURATION', '2m') / 4;
const texts = chosen('unique');

const phase = (n, rate) => ({
  ...openModel(),
  executor: 'constant-arrival-rate',
  rate,
  startTime: `${n * phase_s}s`,
  duration: `${phase_s}s`,
});

export const options = build(
  {
    before: phase(0, RATE),
    spike: phase(1, SPIKE_RATE),
    recovery: phase(2, RATE),
    after: phase(3, RATE),
  },
  {
    'answered_duration{scenario:before}': [P99],
    'answered_duration{scenario:after}': [P99],
    'refused{scenario:before}': ['count<1'],
    'refused{scenario:after}': ['count<1'],
  },
);

export { setup };

export default function () {
  predict(texts());
}

export const handleSummary = summary('spike');
