// One provider and one model in a form: the models that the provider's last check listed are offered.
const provider = document.querySelector("select[name=provider_id]");
const model = document.querySelector("input[name=model_name]");

function offer() {
  model.setAttribute("list", `models-of-${provider.value}`);
}

if (provider && model) {
  provider.addEventListener("change", offer);
  offer();
}
