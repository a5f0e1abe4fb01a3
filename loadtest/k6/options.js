// What all scenarios have in common.
import { number } from './environment.js';

export const P99 = `p(99)<${number('P99_MS', 2000)}`;
const FAILED = `rate<${number('FAILED_SHARE', 0.001)}`;

// Common thresholds, and those of a scenario beside them. The requests of `setup` are none of the load,
// hence the name. A metric with a tag is reported only where it is named.
export function options(scenarios, thresholds) {
  return {
    scenarios,
    thresholds: {
      'http_reqs{name:predict}': [],
      'http_req_failed{name:predict}': [FAILED],
      checks: ['rate==1'],
      ...thresholds,
    },
    summaryTrendStats: ['count', 'min', 'avg', 'med', 'p(90)', 'p(95)', 'p(99)', 'p(99.9)', 'max'],
    systemTags: ['name', 'scenario', 'status', 'error_code'],
    discardResponseBodies: true,
  };
}

// RATE requests a second where it is set, whatever the answers take; else VUS clients, each of which
// sends its next request when it has the last answer.
export function steady(duration_s) {
  const duration = `${duration_s}s`;
  const rate = number('RATE', 0);
  if (!rate) {
    return { executor: 'constant-vus', vus: number('VUS', 10), duration };
  }
  return { ...openModel(), executor: 'constant-arrival-rate', rate, duration };
}

// Open model: at most VUS requests wait for an answer at a time; what cannot be sent is counted as
// dropped.
export function openModel() {
  const maxVUs = number('VUS', 200);
  return { preAllocatedVUs: Math.min(50, maxVUs), maxVUs, timeUnit: '1s' };
}
