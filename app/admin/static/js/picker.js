// A text area of agent ids becomes chips with a search beneath. The text area stays what is sent,
// hidden: without this script one types the ids.
import { combobox, search } from "./combobox.js";

export function startPicking() {
  for (const area of document.querySelectorAll("textarea[data-picker]")) new Picker(area);
}

class Picker {
  constructor(area) {
    this.area = area;
    const listId = `${area.id}-found`;
    this.chips = make("ul", { className: "names picked" });
    this.list = make(
      "ul",
      { className: "picker-found", id: listId, hidden: true },
      { role: "listbox", "aria-label": "Agents found" },
    );
    this.text = make(
      "input",
      { type: "search", id: `${area.id}-find`, placeholder: "Find an agent", autocomplete: "off" },
      {
        role: "combobox",
        "aria-autocomplete": "list",
        "aria-controls": listId,
        "aria-describedby": area.getAttribute("aria-describedby"),
        "aria-expanded": "false",
      },
    );
    this.found = combobox(this.text, this.list, {
      find: (text) => this.find(text),
      shown: (hits) => (this.list.hidden = !hits?.length),
    });
    this.replaceArea();
    this.text.addEventListener("keydown", (event) => this.press(event));
    this.list.addEventListener("click", (event) => {
      this.add(event.target.closest("[role=option]")?.dataset.detail);
    });
    this.put(this.names());
  }

  replaceArea() {
    const box = make("div", { className: "picker" });
    box.append(this.chips, this.text, this.list);
    document.querySelector(`label[for="${this.area.id}"]`)?.setAttribute("for", this.text.id);
    this.area.hidden = true;
    this.area.after(box);
  }

  names() {
    return this.area.value.split(/[\s,]+/).filter(Boolean);
  }

  put(names) {
    this.area.value = [...new Set(names)].join("\n");
    this.chips.replaceChildren(...this.names().map((name) => this.chip(name)));
  }

  add(name) {
    if (name) this.put([...this.names(), name]);
    this.text.value = "";
    this.found.show([]);
    this.text.focus();
  }

  chip(name) {
    const remove = make(
      "button",
      { type: "button", className: "chip-remove", textContent: "×" },
      { "aria-label": `Remove ${name}` },
    );
    remove.addEventListener("click", () => {
      this.put(this.names().filter((other) => other !== name));
      this.text.focus();
    });
    const element = make("li");
    element.append(name, " ", remove);
    return element;
  }

  // While the server is away, what is typed is taken as an id all the same.
  async find(text) {
    const hits = text.trim() ? await search(text) : [];
    const names = this.names();
    return (hits ?? []).filter((hit) => hit.kind === "agent" && !names.includes(hit.detail));
  }

  press(event) {
    const { key } = event;
    const typed = this.text.value.trim();
    if (key === "Enter") this.add(this.found.chosen()?.dataset.detail ?? typed);
    else if (key === "Escape" && !this.list.hidden) this.found.show([]);
    else if (key === "Backspace" && typed === "") this.put(this.names().slice(0, -1));
    else return;
    event.preventDefault();
  }
}

function make(tag, properties = {}, attributes = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
