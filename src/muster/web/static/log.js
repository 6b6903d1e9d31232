// Output in blocks: a block is fetched when it comes near, so that 10 MB open like 10 lines.
"use strict";
(() => {
  const log = document.getElementById("log");
  const result = log.dataset.result, block = Number(log.dataset.block);
  const follow = document.querySelector("[data-log-follow]");
  let size = Number(log.dataset.size);
  const watch = new IntersectionObserver((seen) => {
    for (const one of seen) if (one.isIntersecting && !one.target.dataset.here) load(one.target);
  }, { root: log, rootMargin: "600px" });

  async function load(pre, again = false) {
    if (pre.dataset.here === "loading") { pre.dataset.again = "yes"; return; }
    pre.dataset.here = "loading";
    try {
      const answer = await fetch(`/results/${result}/block?index=${pre.dataset.index}`);
      if (!answer.ok) throw new Error(String(answer.status));
      const told = Number(answer.headers.get("muster-size"));
      pre.innerHTML = await answer.text();
      pre.dataset.here = "yes";
      grown(told);
      if (answer.headers.get("muster-state") !== "running") follow.dataset.over = "yes";
    } catch { delete pre.dataset.here; }
    if (again && follow.checked) log.scrollTop = log.scrollHeight;
    if (pre.dataset.again) { delete pre.dataset.again; load(pre, again); }
  }

  function grown(now) {
    size = now;
    document.getElementById("log-size").textContent = size < 1048576 ? `${Math.ceil(size / 1024)} KiB` : `${(size / 1048576).toFixed(1)} MiB`;
    for (let index = log.children.length; index < Math.ceil(size / block); index++) {
      const pre = document.createElement("pre");
      pre.dataset.index = String(index);
      // About as high as its lines will be, so that the bar tells the truth.
      pre.textContent = "\n".repeat(600);
      log.append(pre);
      watch.observe(pre);
    }
  }

  document.querySelector("[data-log-end]").addEventListener("click", () => {
    const last = log.lastElementChild;
    last.scrollIntoView({ block: "end" });
    load(last).then(() => { log.scrollTop = log.scrollHeight; });
  });
  follow.addEventListener("change", () => { if (follow.checked) load(log.lastElementChild, true); });
  addEventListener("muster:output", (event) => {
    if (event.detail && event.detail !== result && !document.body.dataset.live.includes(`run:${event.detail}`)) return;
    if (follow.dataset.over) return;
    load(log.lastElementChild, true);
  });

  log.firstElementChild.dataset.here = "yes";
  watch.observe(log.firstElementChild);
  grown(size);
})();
