// Marking rows: one by one, with shift from the last one on, or all; marks survive a refresh.
"use strict";
(() => {
  const MARK = "#chosen input[type=checkbox]:is([name=machine], [name=key])";
  const marks = () => [...document.querySelectorAll(MARK)];
  let last = null;

  function count() {
    const box = document.getElementById("marked");
    if (!box) return;
    const number = marks().filter((one) => one.checked).length;
    box.textContent = number ? `${number} marked` : "none marked";
    for (const act of document.querySelectorAll("#chosen .acts button")) act.disabled = !number;
    const all = document.querySelector("[data-all]");
    if (all) { all.checked = number > 0 && number === marks().length; all.indeterminate = number > 0 && !all.checked; }
  }

  function range(to, on) {
    const all = marks();
    const ends = [all.findIndex((one) => one.value === last), all.indexOf(to)].sort((a, b) => a - b);
    if (ends[0] < 0) { to.checked = on; return; }
    for (const one of all.slice(ends[0], ends[1] + 1)) one.checked = on;
  }

  addEventListener("click", (event) => {
    if (!event.target.matches(MARK)) return;
    if (event.shiftKey) range(event.target, event.target.checked);
    last = event.target.value;
    count();
  });
  addEventListener("muster:range", (event) => {
    const one = event.detail?.querySelector("input[type=checkbox]");
    if (one) { range(one, true); last = one.value; count(); }
  });
  addEventListener("change", (event) => {
    if (event.target.matches("[data-all]")) for (const one of marks()) one.checked = event.target.checked;
    if (event.target.matches("[data-column]")) {
      const form = event.target.form;
      form.elements.columns.value = [...form.querySelectorAll("[data-column]:checked")].map((one) => one.dataset.column).join(",");
    }
    count();
  });
  addEventListener("htmx:after:swap", count);
  count();
})();
