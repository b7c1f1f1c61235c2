// A voice's form: only the settings that the chosen provider's type takes are shown and sent.
function show(section) {
  const chosen = section.querySelector("select").selectedOptions[0];
  const type = chosen?.dataset.type;
  section.querySelector("[data-speech-settings]").hidden = !type;
  for (const setting of section.querySelectorAll("[data-taken-by]")) {
    setting.hidden = !setting.dataset.takenBy.split(" ").includes(type);
    setting.querySelector("input").disabled = setting.hidden;
  }
}

for (const section of document.querySelectorAll("[data-speech]")) {
  section.querySelector("select").addEventListener("change", () => show(section));
  show(section);
}
