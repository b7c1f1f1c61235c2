// A new budget: only what its scope asks for is shown.
const scope = document.querySelector("select[name=scope]");

function show() {
  for (const part of document.querySelectorAll("[data-scope]")) {
    part.hidden = part.dataset.scope !== scope.value;
  }
}

if (scope) {
  scope.addEventListener("change", show);
  show();
}
