/** The right column, which stays in sight beside a long table. */

const MARGIN = 16;

/**
 * Let a sticky column move with the page until its end is in sight, and back until its beginning is.
 * @returns {Function} Brings the beginning into sight.
 */
export function keepInSight(column) {
  let top = MARGIN;
  let last = scrollY;
  const place = (wanted) => {
    const lowest = Math.min(MARGIN, innerHeight - column.offsetHeight - MARGIN);
    top = Math.max(lowest, Math.min(MARGIN, wanted));
    column.style.setProperty("--top", `${top}px`);
  };
  const move = () => {
    place(top + last - scrollY);
    last = scrollY;
  };
  addEventListener("scroll", move, { passive: true });
  addEventListener("resize", move);
  new ResizeObserver(move).observe(column);
  return () => {
    last = scrollY;
    place(MARGIN);
  };
}
