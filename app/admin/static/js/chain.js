// The chain of an agent's form: add, remove and reorder steps. The order of the rows is carried by
// the numbers in their names, so every move numbers them anew.
const PREFIX = "llm_configs-";

export function startChainEditor() {
  const section = document.querySelector("[data-chain]");
  if (!section) return;
  const steps = section.querySelector("[data-steps]");
  const blank = section.querySelector("[data-blank-step]");

  section.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const step = button?.closest("[data-step]");
    if (!button) return;
    if ("stepAdd" in button.dataset) add(steps, blank);
    else if ("stepRemove" in button.dataset) remove(steps, step);
    else if ("stepUp" in button.dataset) step.previousElementSibling?.before(step);
    else if ("stepDown" in button.dataset) step.nextElementSibling?.after(step);
    number(steps);
    if (button.isConnected) button.focus();
  });
  section.addEventListener("change", (event) => {
    if (event.target.name?.endsWith("-provider_id")) offerModels(event.target);
  });
  section.querySelector("[data-step-add]").disabled = false; // now somebody listens
  number(steps);
  for (const select of steps.querySelectorAll("select")) offerModels(select);
}

function add(steps, blank) {
  steps.append(blank.content.cloneNode(true));
  steps.lastElementChild.querySelector("select").focus();
}

function remove(steps, step) {
  const neighbour = step.nextElementSibling ?? step.previousElementSibling;
  step.remove();
  neighbour?.querySelector("select").focus();
}

function number(steps) {
  const rows = [...steps.children];
  rows.forEach((row, index) => {
    row.querySelector("[data-step-title]").textContent =
      index === 0 ? "Primary" : `Fallback ${index}`;
    row.querySelector("[data-step-remove]").disabled = false;
    row.querySelector("[data-step-up]").disabled = index === 0;
    row.querySelector("[data-step-down]").disabled = index === rows.length - 1;
    for (const element of row.querySelectorAll("[name], [id], [for], [aria-describedby]")) {
      for (const attribute of ["name", "id", "for", "aria-describedby"]) {
        renumber(element, attribute, index);
      }
    }
  });
}

function renumber(element, attribute, index) {
  const value = element.getAttribute(attribute);
  if (!value?.startsWith(PREFIX)) return;
  const rest = value.slice(PREFIX.length).replace(/^[^-]+/, "");
  element.setAttribute(attribute, `${PREFIX}${index}${rest}`);
}

// The models that the provider's last check listed, as suggestions.
function offerModels(select) {
  const model = select.closest("[data-step]").querySelector("input[name$='-model_name']");
  model.setAttribute("list", `models-of-${select.value}`);
}
