// Shows where providers of the chosen type usually are, in the empty base URL field.
export function startBaseUrl() {
  const type = document.querySelector("select#type");
  const baseUrl = document.getElementById("base_url");
  if (!type || !baseUrl) return;
  const offer = () => {
    baseUrl.placeholder = type.selectedOptions[0]?.dataset.usualUrl ?? "";
  };
  type.addEventListener("change", offer);
  offer();
}
