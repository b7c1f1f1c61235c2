// Offers the viewer's own time zone beside the field that names one.
const field = document.querySelector("[data-zone]");
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;

if (field && own && field.value !== own) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn btn-small btn-quiet";
  button.textContent = `Use ${own}`;
  button.addEventListener("click", () => {
    field.value = own;
    field.form.requestSubmit();
  });
  field.after(button);
}
