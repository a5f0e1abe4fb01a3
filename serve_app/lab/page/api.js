/** The service's HTTP API, of this page's own origin. */

const PREDICT = "/project/predict";
const INFO = "/project/info";
const LIVE = "/lab/live";

/** What the service answered instead of what it was asked for; status 0 where it did not answer. */
export class Problem extends Error {
  constructor({ status = 0, title, detail, requestId = "", errors = [], retryAfterS = null }) {
    super(detail || title);
    Object.assign(this, { status, title, detail, requestId, errors, retryAfterS });
  }

  /** Whether the same request may succeed later. */
  get passes() {
    return [0, 429, 502, 503].includes(this.status);
  }
}

/** In the memory of this page alone. */
let apiKey = null;

/** Send this key from now on. */
export function useKey(key) {
  apiKey = key;
}

/** Whether requests carry a key. */
export function hasKey() {
  return apiKey !== null;
}

/** The address of predictions, for programs. */
export function predictUrl() {
  return new URL(PREDICT, location.origin).href;
}

/** Model and limits. */
export async function info(signal) {
  return (await ask(INFO, { signal })).content;
}

/** Figures of the whole service. */
export async function live(signal) {
  return (await ask(LIVE, { signal })).content;
}

/**
 * Score texts with one request.
 * @param {string[]} texts Within the service's limits.
 * @returns Scores by text, cache hits and misses, stage times in ms, and the time that passed here.
 */
export async function predict(texts, signal) {
  const started = performance.now();
  const { content, headers } = await ask(PREDICT, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text: texts }),
    signal,
  });
  return {
    predictions: content.predictions,
    hits: Number(headers.get("X-Cache-Hits")),
    misses: Number(headers.get("X-Cache-Misses")),
    truncated: new Set((headers.get("X-Truncated") ?? "").split(",").filter(Boolean).map(Number)),
    stages: serverTiming(headers.get("Server-Timing") ?? ""),
    revision: decodeURIComponent(headers.get("X-Model-Revision") ?? ""),
    elapsedMs: performance.now() - started,
  };
}

/** Parse `cache;dur=0.1, queue;dur=2` into { cache: 0.1, queue: 2 }. */
export function serverTiming(header) {
  const entries = [...header.matchAll(/([\w-]+)\s*;\s*dur=([\d.]+)/g)];
  return Object.fromEntries(entries.map(([, name, duration]) => [name, Number(duration)]));
}

async function ask(path, options) {
  const headers = { ...options.headers };
  if (apiKey !== null) headers.Authorization = `Bearer ${apiKey}`;
  try {
    const response = await fetch(path, { ...options, headers, cache: "no-store" });
    if (!response.ok) throw await problem(response);
    return { content: await response.json(), headers: response.headers };
  } catch (error) {
    if (error instanceof Problem || options.signal?.aborted) throw error;
    throw new Problem({
      title: "No connection to the service",
      detail: "It does not answer; this page goes on trying.",
    });
  }
}

async function problem(response) {
  const told = await response.json().catch(() => ({}));
  return new Problem({
    status: response.status,
    title: told.title ?? `HTTP ${response.status}`,
    detail: told.detail ?? "The answer does not say why.",
    requestId: told.request_id ?? response.headers.get("X-Request-ID") ?? "",
    errors: told.errors ?? [],
    retryAfterS: Number(response.headers.get("Retry-After")) || null,
  });
}
