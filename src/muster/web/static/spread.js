// What machines of one model measured, lowest first; a line marks this one.
"use strict";
addEventListener("DOMContentLoaded", () => {
  // Readable on light and on dark: the choice may change while the page is open.
  const colour = "#7d8794";
  for (const box of document.querySelectorAll("[data-spread]")) {
    const values = JSON.parse(box.dataset.spread);
    if (values.length < 2) continue;
    const own = Number(box.dataset.value);
    const axis = { stroke: colour, grid: { width: 0.3 } };
    new uPlot({
      width: Math.min(480, box.clientWidth), height: 90, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false } }, axes: [{ show: false }, axis],
      series: [{}, { stroke: "#4c8dff", points: { show: true, size: 4 } }, { stroke: "#e0525a", width: 1 }],
    }, [values.map((_, index) => index), values, values.map(() => own)], box);
  }
});
