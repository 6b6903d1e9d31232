// Switches and machines; numbers come from the server, names only as labels.
"use strict";
addEventListener("DOMContentLoaded", () => {
  // Tabler's colours are oklch(), which cytoscape cannot read.
  const ink = document.documentElement.dataset.bsTheme === "dark" ? "#e6edf3" : "#1f2937";
  const box = document.getElementById("graph");
  const graph = cytoscape({
    container: box,
    elements: JSON.parse(document.getElementById("elements").textContent),
    layout: { name: "concentric", concentric: (node) => (node.data("kind") === "switch" ? 2 : 1), levelWidth: () => 1, minNodeSpacing: 40 },
    style: [
      { selector: "node", style: { label: "data(label)", color: ink, "font-size": 11, "text-valign": "bottom", width: 18, height: 18, "background-color": "#4c8dff" } },
      { selector: "node[kind = 'switch']", style: { shape: "rectangle", width: 60, height: 22, "background-color": "#8a94a6", "font-weight": "bold" } },
      { selector: "edge", style: { width: 1.5, "line-color": "#8a94a6", label: "data(label)", "font-size": 9, color: ink, "curve-style": "bezier" } },
    ],
  });
  new ResizeObserver(() => { graph.resize(); graph.fit(undefined, 20); }).observe(box);
  graph.on("tap", "node[href]", (event) => location.assign(event.target.data("href")));
});
