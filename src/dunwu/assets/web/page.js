// What every page has: the theme, and keys. A page adds keys of its own to KEYS.
"use strict";

const THEMES = ["system", "light", "dark"];

const chosenTheme = () => localStorage.getItem("theme") || "system";

function showTheme() {
  const theme = chosenTheme();
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const button = document.getElementById("theme");
  if (button) button.textContent = `Theme: ${theme}`;
}
showTheme();

function nextTheme() {
  localStorage.setItem("theme", THEMES[(THEMES.indexOf(chosenTheme()) + 1) % THEMES.length]);
  showTheme();
}

const KEYS = {
  t: nextTheme,
  "?": () => document.getElementById("help").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const key = KEYS[event.key];
  if (key) {
    event.preventDefault();
    key();
  }
});

document.addEventListener("DOMContentLoaded", () => {
  showTheme();
  document.getElementById("theme")?.addEventListener("click", nextTheme);
  document.getElementById("keys")?.addEventListener("click", KEYS["?"]);
});
