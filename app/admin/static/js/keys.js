// `/` goes to the list's search, as in many tools; not while somebody types or is being asked.
const TYPING = "input, textarea, select, [contenteditable]";

export function startKeys() {
  const search = document.querySelector("[role=search] input:not([type=hidden])");
  if (!search) return;
  search.setAttribute("aria-keyshortcuts", "/");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches?.(TYPING) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    search.focus();
    search.select();
  });
}
