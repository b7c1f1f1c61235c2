// The form of a task: its schema's fields beside the JSON, and what the server makes of it.
import { ask } from "./api.js";
import { later } from "./dom.js";
import { SchemaEditor } from "./schema_editor.js";
import { showErrors, parseSample } from "./sample.js";
import { toast } from "./toasts.js";

const form = document.querySelector("[data-task-form]");
const text = document.getElementById("response_schema");
const source = form.querySelector("[data-source]");
const problem = form.querySelector("[data-problem]");
const result = form.querySelector("[data-result]");
const sample = document.getElementById("sample");
const NO_MODEL = "# No Pydantic model can be made of this schema.";
let asked = 0;

// What the server makes of the text, or null, with what is wrong with it shown.
async function check() {
  const question = ++asked;
  const raw = text.value.trim();
  if (raw === "") return show("", "");
  try {
    const answer = await draft({ response_schema: JSON.parse(raw) });
    if (question === asked) show(answer.source ?? NO_MODEL, "");
    return answer;
  } catch (error) {
    if (question === asked) show(null, error.message);
    return null;
  }
}

async function draft(body) {
  const name = document.getElementById("name").value || "task";
  const answer = await ask("POST", form.dataset.draft, { name, ...body });
  if (answer.problem) throw new Error(answer.problem);
  return answer;
}

function show(model, message) {
  if (model !== null) source.textContent = model || "# Any answer will do.";
  source.classList.toggle("off", model === null);
  problem.textContent = message;
  problem.hidden = message === "";
}

const editor = new SchemaEditor(form.querySelector("[data-schema-fields]"), text, later(check, 500));

form.querySelector("[data-tidy]").addEventListener("click", async () => {
  const answer = await check();
  if (answer) editor.setText(answer.response_schema);
});

form.querySelector("[data-infer]").addEventListener("click", async () => {
  const parsed = parseSample(sample.value, result);
  if (!parsed) return;
  try {
    const answer = await ask("POST", form.dataset.infer, { sample: parsed.value });
    editor.setText(answer.response_schema);
    toast("The schema is made from the sample. Look through it before you save.", "success");
  } catch (error) {
    showErrors(result, [{ path: "$", message: error.message }]);
  }
});

form.querySelector("[data-try]").addEventListener("click", async () => {
  const parsed = parseSample(sample.value, result);
  if (!parsed) return;
  try {
    const schema = JSON.parse(text.value || "{}");
    const answer = await draft({ response_schema: schema, samples: [parsed.value] });
    showErrors(result, answer.errors[0]);
  } catch (error) {
    showErrors(result, [{ path: "schema", message: error.message }]);
  }
});

for (const button of form.querySelectorAll("[data-script]")) button.disabled = false;
