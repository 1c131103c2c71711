// The pages work without this file. With it they follow a running job, filter as one types, and obey keys.
"use strict";

const LOOK_MS = 2000;
const TYPING_MS = 150;
const SHARE = 0.01; // of the time that following a run may take: a costly page is read again more seldom

let asked = 0; // a later question makes an earlier answer stale

async function ask(address) {
  const mine = ++asked;
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  const text = await answer.text();
  return mine === asked ? new DOMParser().parseFromString(text, "text/html") : null;
}

// Puts the same page, read again, in the place of what is shown: open parts stay open, fields keep their content.
async function refresh() {
  const shown = await ask(location.href);
  if (!shown) return;
  const here = document.getElementById("main");
  const there = shown.getElementById("main");
  const open = new Set([...here.querySelectorAll("details[open] > summary")].map((s) => s.textContent.replace(/\d+/g, "")));
  for (const summary of there.querySelectorAll("details > summary")) {
    if (open.has(summary.textContent.replace(/\d+/g, ""))) summary.parentElement.open = true;
  }
  const focused = document.activeElement;
  const selection = focused?.selectionStart ?? null;
  const form = here.querySelector("form[data-live]");
  if (form) there.querySelector("form[data-live]")?.replaceWith(form);
  here.replaceChildren(...there.childNodes);
  if (focused && here.contains(focused)) {
    focused.focus({ preventScroll: true });
    if (selection !== null && focused.type === "search") focused.setSelectionRange(selection, selection);
  }
  listen();
}

let changeToken = null;
let notBefore = 0;
let following = false;

// A search that is under way is not begun again because the run has grown.
const searching = () => Boolean(document.querySelector("input[type=search]")?.value);

async function follow() {
  const main = document.getElementById("main");
  const address = main?.dataset.changeToken;
  if (!address || document.hidden || following || searching()) return;
  following = true;
  try {
    const found = (await (await fetch(address)).json()).change_token;
    const began = performance.now();
    if (changeToken !== null && found !== changeToken) {
      if (began < notBefore) return;
      await refresh();
      const now = await new Promise(requestAnimationFrame);
      notBefore = now + (now - began) / SHARE;
    }
    changeToken = found;
    document.documentElement.classList.remove("lost");
  } catch {
    document.documentElement.classList.add("lost"); // the server has ended; it may come back
  } finally {
    following = false;
  }
}

function addressOf(form) {
  const fields = [...new FormData(form)].filter(([, value]) => value !== "");
  return `${location.pathname}?${new URLSearchParams(fields)}`;
}

async function filter(form) {
  const order = form.elements.order; // a search goes from the newest on
  if (order) order.disabled = Boolean(form.elements.q.value);
  if (order?.disabled) order.value = "newest";
  const address = addressOf(form);
  history.replaceState(null, "", address);
  const shown = await ask(address);
  if (!shown) return;
  const results = shown.getElementById("results");
  if (results) document.getElementById("results").replaceChildren(...results.childNodes);
  else await refresh();
  await searchOn();
}

// A search that found too little in its time goes on by itself, page by page, into the same table.
async function searchOn() {
  const search = document.querySelector("input[type=search]");
  if (!search || !search.value) return;
  for (;;) {
    const next = document.querySelector("#results a[rel=next]");
    const table = document.querySelector("#results tbody");
    if (!next || (table && table.rows.length >= 50)) return;
    const shown = await ask(next.href);
    if (!shown) return;
    const rows = shown.querySelectorAll("#results tbody tr");
    if (table) {
      table.append(...rows);
      document.querySelector("#results .note").replaceWith(shown.querySelector("#results .note"));
      const further = shown.querySelector("#results .further a[rel=next]");
      if (further) next.replaceWith(further);
      else next.remove();
    } else {
      document.getElementById("results").replaceChildren(...shown.getElementById("results").childNodes);
    }
  }
}

function listen() {
  const form = document.querySelector("form[data-live]");
  if (!form || form.dataset.heard) return;
  form.dataset.heard = "yes";
  let waiting;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => filter(form), TYPING_MS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    filter(form);
  });
}

function moveInList(by) {
  const rows = [...document.querySelectorAll(".rollouts tbody tr")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.classList.contains("here"));
  const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
  if (at >= 0) rows[at].classList.remove("here");
  next.classList.add("here");
  next.querySelector("a").focus();
  next.scrollIntoView({ block: "nearest" });
}

const follows = (selector) => () => document.querySelector(selector)?.click();

Object.assign(KEYS, {
  j: () => moveInList(1),
  k: () => moveInList(-1),
  "[": follows("main a[rel=prev]"),
  "]": follows("main a[rel=next]"),
  u: follows("main a[rel=up]"),
  "/": () => document.querySelector("input[type=search]")?.focus(),
});
for (const tab of "123456789") KEYS[tab] = follows(`header a[data-key="${tab}"]`);

document.addEventListener("DOMContentLoaded", () => {
  listen();
  searchOn();
  follow();
  setInterval(follow, LOOK_MS);
  document.addEventListener("visibilitychange", follow);
});
