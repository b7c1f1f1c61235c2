// A text area of agent ids becomes chips with a search beneath. The text area stays what is sent,
// hidden: without this script one types the ids.
const GATHER_MS = 150;

export function startPicking() {
  for (const area of document.querySelectorAll("textarea[data-picker]")) enhance(area);
}

function enhance(area) {
  const chips = make("ul", "names picked");
  const input = make("input", "");
  const list = make("ul", "picker-found");
  Object.assign(input, { type: "search", placeholder: "Find an agent", autocomplete: "off", id: `${area.id}-find` });
  Object.assign(list, { id: `${area.id}-found`, hidden: true });
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Agents found");
  const about = { role: "combobox", "aria-expanded": "false", "aria-controls": list.id, "aria-autocomplete": "list" };
  for (const [name, value] of Object.entries(about)) input.setAttribute(name, value);
  input.setAttribute("aria-describedby", area.getAttribute("aria-describedby"));
  document.querySelector(`label[for="${area.id}"]`)?.setAttribute("for", input.id);
  const box = make("div", "picker");
  box.append(chips, input, list);
  area.hidden = true;
  area.after(box);

  const names = () => area.value.split(/[\s,]+/).filter(Boolean);
  const put = (all) => {
    area.value = [...new Set(all)].join("\n");
    chips.replaceChildren(...names().map(chip));
  };
  const add = (name) => {
    if (name) put([...names(), name]);
    input.value = "";
    show([]);
    input.focus();
  };
  const chip = (name) => {
    const element = make("li", "");
    const remove = make("button", "chip-remove");
    Object.assign(remove, { type: "button", textContent: "×" });
    remove.setAttribute("aria-label", `Remove ${name}`);
    remove.addEventListener("click", () => {
      put(names().filter((other) => other !== name));
      input.focus();
    });
    element.append(name, " ", remove);
    return element;
  };
  const show = (found) => {
    list.replaceChildren(...found.map((hit, index) => option(hit, `${list.id}-${index}`)));
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", found.length > 0);
    select(list.firstElementChild);
  };
  const chosen = () => list.querySelector("[aria-selected=true]");
  const select = (element) => {
    chosen()?.setAttribute("aria-selected", "false");
    element?.setAttribute("aria-selected", "true");
    input.setAttribute("aria-activedescendant", element?.id ?? "");
  };

  let gathering = null;
  input.addEventListener("input", () => {
    clearTimeout(gathering);
    gathering = setTimeout(async () => show(await find(input.value, names())), GATHER_MS);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") select(chosen()?.nextElementSibling ?? list.firstElementChild);
    else if (event.key === "ArrowUp") select(chosen()?.previousElementSibling ?? list.lastElementChild);
    else if (event.key === "Enter") add(chosen()?.dataset.name ?? input.value.trim());
    else if (event.key === "Escape" && !list.hidden) show([]);
    else if (event.key === "Backspace" && input.value === "") put(names().slice(0, -1));
    else return;
    event.preventDefault();
  });
  list.addEventListener("click", (event) => add(event.target.closest("[role=option]")?.dataset.name));
  put(names());
}

async function find(text, without) {
  if (!text.trim()) return [];
  try {
    const url = document.getElementById("palette").dataset.url;
    const answer = await fetch(`${url}?q=${encodeURIComponent(text)}`, { headers: { Accept: "application/json" } });
    const { found } = answer.ok ? await answer.json() : { found: [] };
    return found.filter((hit) => hit.kind === "agent" && !without.includes(hit.detail));
  } catch {
    return []; // the server is away: a typed id is taken all the same
  }
}

function option(hit, id) {
  const element = make("li", "");
  element.id = id;
  element.setAttribute("role", "option");
  element.dataset.name = hit.detail;
  const name = make("span", "hit-name");
  name.textContent = hit.name;
  const slug = make("span", "hit-detail");
  slug.textContent = hit.detail;
  element.append(name, " ", slug);
  return element;
}

function make(tag, className) {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}
