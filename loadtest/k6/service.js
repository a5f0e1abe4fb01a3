// The service as a client in the field uses it: a JSON body without a content type.
import { check } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';
import { text } from './environment.js';

export const url = text('URL', 'http://127.0.0.1:8000').replace(/\/+$/, '');

const cacheHits = new Counter('cache_hits');
const cacheMisses = new Counter('cache_misses');
const refused = new Counter('refused');
// A refusal takes less time than an answer: one percentile over both would fall as the load grows.
const answeredDuration = new Trend('answered_duration', true);
const refusedDuration = new Trend('refused_duration', true);
// Separate, because one percentile over both would tell the hit ratio rather than the speed.
const cachedDuration = new Trend('cached_duration', true);
const computedDuration = new Trend('computed_duration', true);

const PREDICT = { tags: { name: 'predict' } };
const FULL_ANSWER = { 'every text is answered': ({ texts, hits, misses }) => hits + misses === texts };

// Ask for the predictions of some texts. What was a hit is what the service says was one.
export function predict(texts) {
  const answer = http.post(`${url}/project/predict`, JSON.stringify({ text: texts }), PREDICT);
  const hits = Number(answer.headers['X-Cache-Hits'] || 0);
  const misses = Number(answer.headers['X-Cache-Misses'] || 0);
  if (answer.status === 200) {
    check({ texts: texts.length, hits, misses }, FULL_ANSWER);
    cacheHits.add(hits);
    cacheMisses.add(misses);
    answeredDuration.add(answer.timings.duration);
    (misses === 0 ? cachedDuration : computedDuration).add(answer.timings.duration);
  } else if (answer.status === 429) {
    refused.add(1);
    refusedDuration.add(answer.timings.duration);
  }
}

// Runs once before the load: what serves, and since when.
export function setup() {
  const answer = http.get(`${url}/project/info`, { responseType: 'text' });
  if (answer.status !== 200) {
    exec.test.abort(`${url}/project/info answered ${answer.status || answer.error}`);
  }
  return { started_ms: Date.now(), service: answer.json() };
}
