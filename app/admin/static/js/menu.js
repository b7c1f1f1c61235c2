// In a small window the menu is closed until it is asked for.
export function startMenu() {
  const opener = document.querySelector("[data-menu-opener]");
  const frame = opener?.closest(".sidebar");
  opener?.addEventListener("click", () => {
    const open = frame.toggleAttribute("data-open");
    opener.setAttribute("aria-expanded", open);
  });
}
