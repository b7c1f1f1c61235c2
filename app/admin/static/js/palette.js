// Ctrl+K: type a part of a name, choose with the arrows, Enter goes there. A combobox over a list,
// as ARIA describes it: the focus stays in the text.
const GATHER_MS = 120; // one question for a burst of keys

const dialog = document.getElementById("palette");
const text = document.getElementById("palette-text");
const list = document.getElementById("palette-found");
const said = document.getElementById("palette-said");
let gathering = null;
let asked = 0;

export function startPalette() {
  if (!dialog) return;
  for (const opener of document.querySelectorAll("[data-open-palette]")) {
    opener.disabled = false; // now somebody listens
    opener.addEventListener("click", open);
  }
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (!dialog.open) open();
    }
  });
  text.addEventListener("input", () => {
    clearTimeout(gathering);
    gathering = setTimeout(ask, GATHER_MS);
  });
  text.addEventListener("keydown", choose);
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    go(chosen());
  });
  list.addEventListener("click", (event) => go(event.target.closest("[role=option]")));
}

function open() {
  if (document.querySelector("dialog[open]")) return; // something is being asked already
  text.value = "";
  dialog.showModal();
  ask();
}

async function ask() {
  const question = ++asked;
  try {
    const url = `${dialog.dataset.url}?q=${encodeURIComponent(text.value)}`;
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    const { found } = answer.ok ? await answer.json() : { found: [] };
    if (question === asked) show(found); // a later question knows better
  } catch {
    said.textContent = "The server does not answer.";
  }
}

function show(found) {
  list.replaceChildren(...found.map(option));
  text.setAttribute("aria-expanded", found.length > 0);
  said.textContent = found.length > 0 ? "" : "Nothing has this in its name.";
  select(list.firstElementChild);
}

function option(hit, index) {
  const element = document.createElement("li");
  element.id = `palette-${index}`;
  element.setAttribute("role", "option");
  element.dataset.url = hit.url;
  for (const [name, value] of [["kind", hit.kind], ["name", hit.name], ["detail", hit.detail]]) {
    const part = document.createElement("span");
    part.className = `hit-${name}`;
    part.textContent = value;
    element.append(part, " ");
  }
  return element;
}

function chosen() {
  return list.querySelector("[aria-selected=true]");
}

function select(element) {
  chosen()?.setAttribute("aria-selected", "false");
  element?.setAttribute("aria-selected", "true");
  element?.scrollIntoView({ block: "nearest" });
  text.setAttribute("aria-activedescendant", element?.id ?? "");
}

function choose(event) {
  const steps = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" };
  if (!(event.key in steps)) return;
  event.preventDefault();
  const ends = { ArrowDown: list.firstElementChild, ArrowUp: list.lastElementChild };
  select(chosen()?.[steps[event.key]] ?? ends[event.key]);
}

function go(element) {
  if (element) location.assign(element.dataset.url);
}
