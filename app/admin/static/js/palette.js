// Ctrl+K: type a part of a name, choose with the arrows, Enter goes there.
import { combobox, search } from "./combobox.js";

export function startPalette() {
  const dialog = document.getElementById("palette");
  if (!dialog) return;
  const text = document.getElementById("palette-text");
  const list = document.getElementById("palette-found");
  const found = combobox(text, list, { find: search, shown: say });

  function open() {
    if (document.querySelector("dialog[open]")) return; // something is being asked already
    text.value = "";
    dialog.showModal();
    found.ask();
  }

  for (const opener of document.querySelectorAll("[data-open-palette]")) {
    opener.disabled = false; // now somebody listens
    opener.addEventListener("click", open);
  }
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "k") return;
    event.preventDefault();
    open();
  });
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    go(found.chosen());
  });
  list.addEventListener("click", (event) => go(event.target.closest("[role=option]")));
}

function go(element) {
  if (element) location.assign(element.dataset.url);
}

function say(hits) {
  const nothing = hits === null ? "The server does not answer." : "Nothing has this in its name.";
  document.getElementById("palette-said").textContent = hits?.length > 0 ? "" : nothing;
}
