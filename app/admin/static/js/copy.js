// A Copy button beside a text. The clipboard is there on https and localhost only; elsewhere the
// text is selected, for Ctrl+C.
import { toast } from "./toasts.js";

export function startCopying() {
  for (const button of document.querySelectorAll("[data-copy]")) button.disabled = false;
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button.previousElementSibling);
  });
}

async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    toast("Copied.", "success");
  } catch {
    getSelection().selectAllChildren(element);
    toast("Selected: press Ctrl+C.", "info");
  }
}
