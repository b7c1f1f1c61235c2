"use strict";
// Runs before anything is painted. Without a choice of one's own, the system's theme holds.
{
  const chosen = localStorage.getItem("switchyard-theme");
  if (chosen === "dark" || chosen === "light") {
    document.documentElement.dataset.theme = chosen;
  }
  document.documentElement.dataset.scripts = "on"; // what only a script opens may be closed
}
