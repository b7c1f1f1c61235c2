// A form with data-confirm asks before it is sent. The policy forbids inline handlers, so one
// listener stands here for all of them; until it does, their buttons are disabled.
export function startConfirming() {
  const dialog = document.getElementById("confirm");
  if (!dialog) return;
  let waiting = null;
  for (const button of document.querySelectorAll("[data-confirm] button")) button.disabled = false;

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.confirm || form === waiting) return;
    event.preventDefault();
    dialog.querySelector("p").textContent = form.dataset.confirm;
    dialog.querySelector("[data-confirm-yes]").textContent = form.dataset.confirmYes;
    dialog.returnValue = "no";
    waiting = form;
    dialog.showModal();
  });

  dialog.addEventListener("close", () => {
    // Escape closes without a value, which is a no.
    if (dialog.returnValue === "yes") waiting.requestSubmit();
    waiting = null;
  });
}
