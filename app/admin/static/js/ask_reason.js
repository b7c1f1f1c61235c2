// A form with data-asks-reason asks for it in a dialog, which is sent in its place. Without this
// script it leads to a page that asks.
export function startAsking() {
  const dialog = document.getElementById("ask-reason");
  if (!dialog) return;
  const form = dialog.querySelector("form");

  document.addEventListener("submit", (event) => {
    const opener = event.target;
    if (!opener.dataset.asksReason) return;
    event.preventDefault();
    dialog.querySelector("h2").textContent = opener.dataset.asksReason;
    form.setAttribute("action", opener.getAttribute("action"));
    for (const name of ["id", "url"]) form.elements[name].value = opener.elements[name].value;
    form.elements.reason.value = "";
    dialog.showModal();
  });

  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
}
