// Live parts of pages, keys, marking rows. What it shows comes from the server as HTML, escaped.
"use strict";

const SOON_MS = 400;
const LATER_MS = 3000;

// --- live: one stream a page; parts that name a topic are fetched again when it is told.
const live = {
  source: null, server: null, lost: false, due: new Map(),

  start() {
    const topics = document.body.dataset.live;
    if (!topics || !("signedIn" in document.body.dataset)) return;
    this.wanted = new Set(topics.split(","));
    const names = new Set([...this.wanted].map((topic) => topic.split(":")[0]));
    this.names = [...names].join(",");
    this.open();
    // A page in the back needs nothing until it is looked at again.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { this.close(); return; }
      if (!this.source) { this.open(); this.everything(); }
    });
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => { if (event.persisted && !this.source) { this.open(); this.everything(); } });
  },

  open() {
    const source = new EventSource(`/api/v1/events/stream?topics=${this.names}`);
    this.source = source;
    source.addEventListener("hello", (event) => this.hello(JSON.parse(event.data)));
    source.addEventListener("message", () => this.told("event", ""));
    source.addEventListener("change", (event) => {
      for (const [topic, key] of JSON.parse(event.data)) this.told(topic, key);
    });
    source.addEventListener("lost", () => this.everything());
    source.addEventListener("restart", () => say("The server stops; this page goes on when it is back."));
    source.addEventListener("signed-out", () => { this.close(); location.assign("/sign-in"); });
    source.addEventListener("error", () => {
      this.lost = true;
      say("The connection to the server is lost; trying again …");
      if (source.readyState === EventSource.CLOSED && this.source === source) {
        // The server answered and said no: signed out, or it is still starting.
        this.close();
        setTimeout(() => this.again(), 1500);
      }
    });
  },

  async again() {
    if (this.source || document.hidden) return;
    try {
      const answer = await fetch("/situation", { headers: { "hx-request": "true" } });
      if (answer.status === 401) { location.assign("/sign-in"); return; }
    } catch { /* not yet there */ }
    this.open();
  },

  close() { this.source?.close(); this.source = null; },

  hello(about) {
    if (this.server && this.server !== about.server) {
      say("The server was restarted; everything here is as it is now.", true);
      this.everything();
    } else if (this.lost) {
      say("Connected again; everything here is as it is now.", true);
      this.everything();
    }
    this.server = about.server;
    this.lost = false;
    document.body.dataset.connected = about.server;
  },

  told(topic, key) {
    for (const part of document.querySelectorAll("[data-on]")) {
      const on = part.dataset.on.split(" ");
      if (on.includes(topic) || on.includes(`${topic}:${key}`)) this.refresh(part);
    }
    if (topic === "output" || topic === "run") dispatchEvent(new CustomEvent("muster:output", { detail: key }));
  },

  everything() {
    for (const part of document.querySelectorAll("[data-on]")) this.refresh(part);
    dispatchEvent(new CustomEvent("muster:output", { detail: "" }));
  },

  // The first news is shown soon, those that follow at once no oftener than the server can bear.
  refresh(part) {
    if (this.due.has(part)) return;
    const last = Number(part.dataset.last || 0);
    const wait = Math.max(SOON_MS / 4, Math.min(SOON_MS * (1 + part.childElementCount / 20), LATER_MS) - (Date.now() - last));
    this.due.set(part, setTimeout(() => {
      this.due.delete(part);
      part.dataset.last = String(Date.now());
      if (part.isConnected && !busy(part)) part.dispatchEvent(new Event("refresh"));
    }, wait));
  },
};

// Who is choosing from a list or marking text keeps it.
function busy(part) {
  const here = document.activeElement;
  return part.contains(here) && here.matches("input[type=text], textarea, select");
}

let quiet = 0;
function say(text, good = false) {
  const box = document.getElementById("connection");
  box.textContent = text;
  box.hidden = false;
  box.toggleAttribute("data-good", good);
  clearTimeout(quiet);
  if (good) quiet = setTimeout(() => { box.hidden = true; }, 6000);
}

// --- times that pass
setInterval(() => {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("time[data-since]")) {
    const s = Math.max(0, (Date.now() - Date.parse(time.dataset.since)) / 1000);
    time.textContent = s < 100 ? `${s.toFixed(0)} s` : `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  }
}, 1000);

// --- keys
const PLACES = { a: "/", m: "/machines", t: "/topology", s: "/scripts", p: "/power", e: "/events" };
let went = 0;
function rows() { return [...document.querySelectorAll("#main table.list tbody tr")]; }
function here() { return document.querySelector("tr.here"); }
function move(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(here());
  here()?.classList.remove("here");
  const next = all[Math.max(0, Math.min(all.length - 1, at + by))];
  next.classList.add("here");
  next.querySelector("a, input")?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}
const KEYS = {
  "/": () => document.querySelector("#filter, #kind, [data-complete]")?.focus(),
  "?": () => document.getElementById("keys").showModal(),
  j: () => move(1), k: () => move(-1),
  x: () => here()?.querySelector("input[type=checkbox]")?.click(),
  X: () => dispatchEvent(new CustomEvent("muster:range", { detail: here() })),
  Enter: () => here()?.querySelector("a")?.click(),
  g: () => { went = Date.now(); },
};
addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox]), textarea, select");
  if (typing || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Enter" && event.target.matches("a, button, summary, input")) return;
  if (Date.now() - went < 1200 && PLACES[event.key]) { location.assign(PLACES[event.key]); return; }
  const act = KEYS[event.key];
  if (act && !document.querySelector("dialog[open]")) { event.preventDefault(); act(); }
});

addEventListener("change", (event) => {
  if (event.target.matches("[data-theme-choice]")) event.target.form.requestSubmit();
});

live.start();
