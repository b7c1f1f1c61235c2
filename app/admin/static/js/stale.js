// An open form says when somebody else has saved the same row, before one types on for nothing.
export function startStaleness() {
  const stored = document.getElementById("stored-version");
  const read = document.querySelector("form.form input[name=version]");
  const notice = document.getElementById("newer");
  if (!stored || !read || !notice) return;
  document.addEventListener("region:taken", () => {
    if (Number(stored.textContent) <= Number(read.value) || !notice.hidden) return;
    notice.setAttribute("role", "alert"); // spoken when it appears
    notice.hidden = false;
  });
}
