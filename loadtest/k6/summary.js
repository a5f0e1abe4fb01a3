// What a run leaves: summary.json, read by loadtest/results.py, and a few lines of text.
import { settings } from './environment.js';
import { url } from './service.js';

// A handleSummary of k6; a run that `setup` aborted leaves nothing.
export function summary(scenario) {
  return (data) => {
    if (!data.setup_data) {
      return {};
    }
    const result = results(scenario, data);
    return {
      [__ENV.SUMMARY || 'summary.json']: JSON.stringify(result, null, 2),
      stdout: lines(result),
    };
  };
}

function results(scenario, data) {
  const { setup_data: setup, metrics } = data;
  const counted = (name) => (name in metrics ? metrics[name].values.count : 0);
  const requests = counted('http_reqs{name:predict}');
  const duration_s = (Date.now() - setup.started_ms) / 1000;
  return {
    format: 2,
    scenario,
    url,
    started_s: setup.started_ms / 1000,
    duration_s,
    settings,
    p99_limit_ms: settings.P99_MS,
    requests: {
      count: requests,
      per_second: requests / duration_s,
      // k6's Rate counts as "passes" the requests for which "failed" is true.
      failed: metrics['http_req_failed{name:predict}'].values.passes || 0,
      refused: counted('refused'),
      dropped: counted('dropped_iterations'),
    },
    texts: { hits: counted('cache_hits'), misses: counted('cache_misses') },
    latency_ms: {
      answered: latency(metrics.answered_duration),
      refused: latency(metrics.refused_duration),
      cached: latency(metrics.cached_duration),
      computed: latency(metrics.computed_duration),
    },
    thresholds: Object.entries(metrics).flatMap(([metric, { thresholds }]) =>
      Object.entries(thresholds || {}).map(([rule, { ok }]) => ({ metric, rule, ok })),
    ),
    service: setup.service,
    client: __ENV.CLIENT ? JSON.parse(__ENV.CLIENT) : null,
  };
}

function latency(metric) {
  if (!metric || !metric.values.count) {
    return null;
  }
  const { count, min, avg, med, max } = metric.values;
  const [p90, p95, p99, p999] = [90, 95, 99, 99.9].map((p) => metric.values[`p(${p})`]);
  return { count, min, avg, p50: med, p90, p95, p99, p999, max };
}

function lines({ scenario, requests, texts, latency_ms, thresholds, duration_s }) {
  const all = texts.hits + texts.misses;
  const rows = [
    ['scenario', `${scenario}, ${duration_s.toFixed(0)} s on ${url}`],
    [
      'requests',
      `${requests.count}, ${requests.per_second.toFixed(1)} a second, ` +
        `${requests.failed} failed, ${requests.refused} refused, ${requests.dropped} not sent`,
    ],
    ['texts', `${all}, ${all ? ((100 * texts.hits) / all).toFixed(1) : '-'} % from the cache`],
    ...Object.entries(latency_ms)
      .filter(([, values]) => values)
      .map(([kind, { p50, p95, p99, max }]) => [
        `${kind}, ms`,
        [['p50', p50], ['p95', p95], ['p99', p99], ['max', max]]
          .map(([name, value]) => `${name} ${value.toFixed(1)}`)
          .join('  '),
      ]),
    ...thresholds.map(({ metric, rule, ok }) => [ok ? 'kept' : 'BROKEN', `${metric} ${rule}`]),
  ];
  return `\n${rows.map(([name, value]) => `  ${name.padEnd(14)}${value}`).join('\n')}\n`;
}
