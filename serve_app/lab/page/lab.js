/** The lab: texts in, scores out. Parts of the page know nothing of each other; this joins them. */

import { info, Problem, useKey } from "/lab/api.js";
import { Arrangement } from "/lab/arrangement.js";
import { keepInSight } from "/lab/aside.js";
import { clearCurl, copyCurl } from "/lab/curl.js";
import { showDetail } from "/lab/detail.js";
import { byId, el, hide } from "/lab/dom.js";
import { addedColumns, download, table } from "/lab/download.js";
import { Histogram } from "/lab/histogram.js";
import { Input } from "/lab/input.js";
import { follow } from "/lab/live.js";
import { clearProblem, showProblem } from "/lab/notice.js";
import { count, counted } from "/lab/numbers.js";
import { patiently, sleep } from "/lab/patience.js";
import { Results } from "/lab/results.js";
import { Scores } from "/lab/scores.js";
import { RunTime } from "/lab/time.js";
import { Words } from "/lab/words.js";

/** A text that stands alone is explained once its author pauses. */
const PAUSE_MS = 600;
/** A run that takes longer shows how far it is. */
const SLOW_MS = 300;
const ROLLOUT_PAUSE_MS = 2000;
const UNAUTHORIZED = 401;
const ASKING = byId("model").textContent;

let model = null;
let scores = null;
let texts = [];
let selected = 0;
let run = null;
let meeting = false;

const input = new Input(() => change(), (problem) => showProblem(problem));
const words = new Words({ wait, report, done: clearProblem });
const histogram = new Histogram();
const arrangement = new Arrangement(() => show());
const showAside = keepInSight(byId("aside"));
const results = new Results((index) => {
  selected = index;
  show();
  showAside();
  byId("detail").scrollIntoView({ block: "nearest" });
});

/** Ask what is served here; again and again while nobody answers. */
async function meet() {
  if (!model) byId("model").textContent = ASKING;
  try {
    model = await patiently(info, undefined, wait);
  } catch (error) {
    report(error);
    return;
  }
  scores = new Scores(model.limits);
  clearProblem();
  byId("model").replaceChildren(
    el("strong", {}, model.model),
    ` ${model.revision.slice(0, 12)} · ${model.engine} · ${model.labels.join(", ")}`,
  );
  change();
}

function change(again = false) {
  texts = input.texts;
  selected = Math.max(0, Math.min(selected, texts.length - 1));
  if (scores) score(again);
  else show();
}

/** Score what is there now, also what was typed a moment ago. */
function again() {
  input.settle();
  change(true);
}

/** Score the texts; an earlier run that is still under way is outdated. */
async function score(again = false) {
  run?.controller.abort();
  const mine = {
    controller: new AbortController(),
    time: new RunTime(),
    total: again ? new Set(texts).size : scores.missing(texts).length,
    done: 0,
    slow: false,
  };
  run = mine;
  show();
  setTimeout(() => {
    mine.slow = true;
    if (run === mine) show();
  }, SLOW_MS);
  const { signal } = mine.controller;
  const onAnswer = (answer, number) => {
    if (signal.aborted) return;
    mine.done += number;
    if (answer) {
      clearProblem();
      mine.time.add(answer);
      if (answer.revision !== model.revision) meetAnother();
    }
    requestAnimationFrame(show);
  };
  let failure = null;
  try {
    await scores.ask(texts, { again, signal, onAnswer, onWait: wait });
  } catch (error) {
    if (!signal.aborted) failure = error;
    mine.controller.abort();
  }
  if (run === mine) finish(failure);
}

function finish(failure) {
  const { time } = run;
  run = null;
  if (time.requests) time.show();
  clearProblem();
  show();
  const failed = texts.find((text) => scores.get(text)?.error);
  if (failed) showProblem(scores.get(failed).error);
  if (failure) report(failure);
  else if (texts.length === 1) explainAfterPause(texts[0]);
}

async function explainAfterPause(text) {
  await sleep(PAUSE_MS);
  if (texts.length === 1 && texts[0] === text && !run) words.explain();
}

/** The service has another model than when the page was opened: earlier scores are not its. */
async function meetAnother() {
  if (meeting) return;
  meeting = true;
  // While replicas of both are there, every other answer is of the other one.
  await sleep(ROLLOUT_PAUSE_MS);
  meeting = false;
  meet();
}

function wait(problem, seconds) {
  if (!model) byId("model").textContent = "The service does not answer yet.";
  showProblem(problem, problem.status ? `Trying again in ${seconds} s.` : "");
}

function report(error) {
  if (!(error instanceof Problem)) throw error;
  if (error.status === UNAUTHORIZED) {
    byId("key-form").hidden = false;
    byId("key").focus();
    if (!model) byId("model").textContent = "The service names its model to those who have a key.";
  } else if (!model) {
    byId("model").textContent = "The service does not say what its model is.";
  }
  showProblem(error);
}

function show() {
  const labels = model?.labels ?? [];
  const found = texts.map((text) => scores?.get(text));
  const scored = found.filter((each) => each?.labels);
  const text = texts[selected];
  byId("about").hidden = texts.length > 0;
  results.show(texts, found, labels, selected, arrangement.apply(found, labels));
  if (text !== byId("detail-text").textContent) clearCurl();
  showDetail(text, found[selected], labels);
  words.select(text ?? "", found[selected]?.labels, model?.limits);
  histogram.show(scored, labels);
  byId("again").disabled = !scores || texts.length === 0;
  byId("clear").disabled = texts.length === 0;
  byId("download").disabled = scored.length === 0;
  showProgress();
  byId("status").textContent = run ? "" : summary(found, scored);
}

function showProgress() {
  if (!run?.slow) {
    hide(byId("progress"), byId("again"));
    return;
  }
  byId("progress").hidden = false;
  byId("progress-bar").value = run.done / run.total;
  byId("progress-text").textContent = `${count(run.done)} of ${count(run.total)}`;
}

function summary(found, scored) {
  if (texts.length === 0) return "";
  const failed = found.filter((each) => each?.problem).length;
  const waiting = texts.length - scored.length - failed;
  const cached = scored.filter((each) => each.source === "cache").length;
  return [
    `${counted(scored.length, "text")} scored`,
    cached ? `${count(cached)} from the cache` : "",
    failed ? `${count(failed)} without a score` : "",
    waiting ? `${count(waiting)} not asked for` : "",
  ]
    .filter(Boolean)
    .join(", ");
}

byId("again").addEventListener("click", again);
byId("cancel").addEventListener("click", () => {
  run?.controller.abort();
  clearProblem();
});
byId("download").addEventListener("click", () => {
  const { labels } = model;
  const taken = input.table.columns.filter((name) => addedColumns(labels).includes(name));
  if (taken.length) {
    const detail = `The file has a column ${taken.join(", ")} already: rename it there.`;
    showProblem({ title: "The scores cannot be written beside it", detail });
    return;
  }
  download(table(input.table, (text) => scores.get(text), labels));
});
byId("copy-curl").addEventListener("click", () => copyCurl(texts[selected]));
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value);
  byId("key").value = "";
  hide(byId("key-form"), input.control);
  clearProblem();
  if (model) score();
  else meet();
});
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) again();
});

follow();
meet();
