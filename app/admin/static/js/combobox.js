// A text with a list of what was found beneath it, as ARIA describes a combobox: the focus stays in
// the text, the arrows choose.
const GATHER_MS = 120; // one question for a burst of keys

// `find` answers a text with hits, or null where the server is away; `shown` hears the same.
export function combobox(text, list, { find, shown = () => {} }) {
  let gathering = null;
  let asked = 0;

  const chosen = () => list.querySelector("[aria-selected=true]");

  function select(element) {
    chosen()?.setAttribute("aria-selected", "false");
    element?.setAttribute("aria-selected", "true");
    element?.scrollIntoView({ block: "nearest" });
    text.setAttribute("aria-activedescendant", element?.id ?? "");
  }

  function show(hits) {
    list.replaceChildren(...(hits ?? []).map((hit, index) => option(hit, `${list.id}-${index}`)));
    text.setAttribute("aria-expanded", list.children.length > 0);
    select(list.firstElementChild);
    shown(hits);
  }

  async function ask() {
    const question = ++asked;
    const hits = await find(text.value);
    if (question === asked) show(hits); // a later question knows better
  }

  text.addEventListener("input", () => {
    clearTimeout(gathering);
    gathering = setTimeout(ask, GATHER_MS);
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") select(chosen()?.nextElementSibling ?? list.firstElementChild);
    else if (event.key === "ArrowUp") select(chosen()?.previousElementSibling ?? list.lastElementChild);
    else return;
    event.preventDefault();
  });
  return { ask, chosen, show };
}

// What the server knows under this name, that the person may see; null where it does not answer.
export async function search(text) {
  const { url } = document.getElementById("palette").dataset;
  try {
    const headers = { Accept: "application/json" };
    const answer = await fetch(`${url}?q=${encodeURIComponent(text)}`, { headers });
    return answer.ok ? (await answer.json()).found : null;
  } catch {
    return null;
  }
}

function option(hit, id) {
  const element = document.createElement("li");
  element.id = id;
  element.setAttribute("role", "option");
  Object.assign(element.dataset, { url: hit.url, detail: hit.detail });
  for (const name of ["kind", "name", "detail"]) {
    const part = document.createElement("span");
    part.className = `hit-${name}`;
    part.textContent = hit[name];
    element.append(part, " ");
  }
  return element;
}
