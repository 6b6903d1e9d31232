// Switches and machines where the server put them; names are only labels.
"use strict";
addEventListener("DOMContentLoaded", () => {
  const box = document.getElementById("graph");
  const LABELS = 40;
  // Tabler's colours are oklch(), which cytoscape cannot read.
  const PALETTES = {
    light: { ink: "#1f2937", paper: "#ffffff", line: "#8a94a6", box: "#dbe7f7", right: "#12662f", wrong: "#b3141b", unknown: "#7a4d00" },
    dark: { ink: "#e6edf3", paper: "#262626", line: "#8a94a6", box: "#24405f", right: "#6fdc94", wrong: "#ff9a94", unknown: "#f3c46b" },
  };
  const style = () => {
    const c = PALETTES[document.documentElement.dataset.bsTheme === "dark" ? "dark" : "light"];
    const label = { "text-background-color": c.paper, "text-background-opacity": 0.9, "text-background-padding": 2 };
    return [
      { selector: "node", style: { label: "data(label)", color: c.ink, "font-size": 13, shape: "round-rectangle", width: 118, height: 28, "text-valign": "center", "text-wrap": "ellipsis", "text-max-width": 108, "background-color": c.paper, "border-width": 1.5, "border-color": c.line } },
      { selector: "node[kind = 'switch']", style: { height: 36, "background-color": c.box, "font-weight": "bold" } },
      { selector: "node[kind = 'missing']", style: { "border-style": "dashed", "border-color": c.unknown } },
      { selector: "edge", style: { width: 1.5, "line-color": c.line, color: c.ink, "font-size": 11, "curve-style": "bezier", "control-point-step-size": 60, ...label } },
      { selector: "edge.named, edge[status = 'wrong']", style: { label: "data(label)" } },
      { selector: "edge[status = 'right']", style: { "line-color": c.right } },
      { selector: "edge[status = 'unknown']", style: { "line-color": c.unknown } },
      { selector: "edge[status = 'wrong']", style: { "line-color": c.wrong, width: 3.5, color: c.wrong, "z-index": 9 } },
      { selector: "edge[seen = 'no']", style: { "line-style": "dashed" } },
    ];
  };
  const graph = cytoscape({
    container: box,
    elements: JSON.parse(document.getElementById("elements").textContent),
    layout: { name: "preset" },
    style: style(),
    autoungrabify: true,
    // The wheel and a finger scroll the page; the buttons below come closer.
    userZoomingEnabled: false,
    maxZoom: 2,
  });
  if (graph.edges().length <= LABELS) graph.edges().addClass("named");
  graph.on("tap mouseover", "node", (event) => { if (graph.edges().length > LABELS) { graph.edges().removeClass("named"); event.target.connectedEdges().addClass("named"); } });
  graph.on("tap", "node[href != '']", (event) => location.assign(event.target.data("href")));
  const desk = new Map(graph.nodes().map((node) => [node.id(), { ...node.position() }]));
  // On a phone switches stand on the left and each machine has a line of its own.
  const narrow = () => {
    const high = new Map();
    graph.nodes("[kind != 'switch']").forEach((node, index) => { node.position({ x: 215, y: index * 46 }); });
    for (const node of graph.nodes("[kind = 'switch']")) {
      const near = node.neighborhood("node").map((one) => one.position("y"));
      high.set(node, near.reduce((sum, y) => sum + y, 0) / Math.max(1, near.length));
    }
    let last = -Infinity;
    for (const [node, y] of [...high].sort((a, b) => a[1] - b[1])) { last = Math.max(y, last + 50); node.position({ x: 0, y: last }); }
  };
  const whole = () => {
    const slim = box.clientWidth < 600;
    if (slim) narrow(); else graph.nodes().positions((node) => desk.get(node.id()));
    const all = graph.elements().boundingBox();
    // Three machines are not blown up to the size of a room.
    const scale = Math.min(1, (box.clientWidth - 24) / all.w);
    box.style.height = `${Math.round(Math.max(140, Math.min(all.h * scale + 32, innerHeight * 0.7)))}px`;
    graph.resize();
    graph.fit(undefined, 12);
    if (graph.zoom() > 1 || slim) {
      graph.zoom(scale);
      graph.center();
      if (slim) graph.pan({ x: graph.pan().x, y: 16 - all.y1 * scale });
    }
  };
  const zoom = (by) => graph.zoom({ level: graph.zoom() * by, renderedPosition: { x: box.clientWidth / 2, y: box.clientHeight / 2 } });
  const ACTS = { closer: () => zoom(1.4), farther: () => zoom(1 / 1.4), whole };
  for (const button of document.querySelectorAll("[data-graph]")) button.addEventListener("click", ACTS[button.dataset.graph]);
  let wide = 0;
  new ResizeObserver(() => { if (box.clientWidth !== wide) { wide = box.clientWidth; whole(); } }).observe(box);
  new MutationObserver(() => graph.style(style())).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
});
