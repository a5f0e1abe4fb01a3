/** What went wrong, as the service explains it. */

import { byId, el } from "/lab/dom.js";

/** Show a problem, or what is being waited for. */
export function showProblem(problem, next = "") {
  const parts = [el("strong", {}, problem.title), el("p", {}, [problem.detail, next].filter(Boolean).join(" "))];
  if (problem.errors?.length) {
    parts.push(
      el("ul", {}, ...problem.errors.map((each) => el("li", {}, `${each.loc.join(".")}: ${each.msg}`))),
    );
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
