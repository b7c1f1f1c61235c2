// Short news in the corner, read out by screen readers. Errors stay until they are dismissed.
const STAYS_MS = 8000;

export function toast(text, kind = "info") {
  const element = document.createElement("div");
  element.className = `toast toast-${kind}`;
  const message = document.createElement("p");
  message.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "toast-close";
  close.setAttribute("aria-label", "Dismiss");
  close.dataset.dismiss = "";
  close.textContent = "×";
  element.append(message, close);
  document.getElementById("toasts")?.append(element);
  expire(element);
}

function expire(element) {
  if (!element.matches(".toast-error, .toast-warning")) {
    setTimeout(() => element.remove(), STAYS_MS);
  }
}

export function startToasts() {
  const toasts = document.getElementById("toasts");
  toasts?.addEventListener("click", (event) => {
    if (event.target.closest("[data-dismiss]")) event.target.closest(".toast").remove();
  });
  for (const element of toasts?.children ?? []) expire(element);
}
