// A list's ticked rows: all at once, and buttons that wait until there are some.
export function startSelection() {
  const form = document.querySelector("[data-selection]");
  if (!form) return;
  const all = form.querySelector("[data-select-all]");
  const boxes = () => [...document.querySelectorAll("[data-select]")];
  const count = () => {
    const ticked = boxes().filter((box) => box.checked).length;
    for (const button of form.querySelectorAll("button")) button.disabled = ticked === 0;
    all.checked = ticked > 0 && ticked === boxes().length;
    all.indeterminate = ticked > 0 && !all.checked;
  };
  all.disabled = false; // now somebody listens
  all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    count();
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-select]")) count();
  });
  document.addEventListener("region:taken", count);
  count();
}
