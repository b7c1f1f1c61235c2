// A task's page: the model of its answers, and a sample tried against its schema.
import { ask } from "./api.js";
import { parseSample, showErrors } from "./sample.js";

const source = document.querySelector("[data-source-of]");
if (source) {
  ask("GET", source.dataset.sourceOf).then(
    (answer) => (source.textContent = answer.source),
    (error) => (source.textContent = `# ${error.message}`),
  );
}

const attempt = document.querySelector("[data-try-sample]");
attempt?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const result = attempt.querySelector("[data-result]");
  const parsed = parseSample(attempt.elements.sample.value, result);
  if (!parsed) return;
  try {
    const answer = await ask("POST", attempt.dataset.trySample, { sample: parsed.value });
    showErrors(result, answer.errors);
  } catch (error) {
    showErrors(result, [{ path: "$", message: error.message }]);
  }
});
for (const button of document.querySelectorAll("[data-script]")) button.disabled = false;
