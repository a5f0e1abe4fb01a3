/** What went wrong, as the service explains it. */

import { byId, el } from "/lab/dom.js";

/** Show a problem, or what is being waited for. */
export function showProblem(problem, next = "") {
  const explanation = [problem.detail, next].filter(Boolean).join(" ");
  const parts = [el("strong", {}, problem.title), el("p", {}, explanation)];
  if (problem.errors?.length) {
    const places = problem.errors.map((each) => `${each.loc.join(".")}: ${each.msg}`);
    parts.push(el("ul", {}, ...places.map((place) => el("li", {}, place))));
  }
  if (problem.requestId) parts.push(el("p", { class: "id" }, `Request ${problem.requestId}`));
  const notice = byId("notice");
  notice.replaceChildren(...parts);
  notice.hidden = false;
}

/** Show no problem. */
export function clearProblem() {
  byId("notice").hidden = true;
  byId("notice").replaceChildren();
}
