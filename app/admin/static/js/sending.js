// A form is sent once, however often its button is pressed, and only to a server that is there and
// knows who sends it: what was typed would be lost with the page otherwise.
import { make } from "./dom.js";
import { HERE, SAID, SIGNED_OUT, lookIn } from "./session.js";

const ONCE_IN_MS = 10000; // who stops the page from loading may send it again

let isSending = false;

// After whatever else listens to a submit: what was prevented is none of this module's business.
export function startSending() {
  document.addEventListener("submit", async (event) => {
    if (event.defaultPrevented || event.target.getAttribute("method") !== "post") return;
    event.preventDefault();
    if (isSending) return;
    isSending = true;
    setTimeout(() => (isSending = false), ONCE_IN_MS);
    const found = await lookIn();
    if (found === HERE) {
      send(event.target, event.submitter);
    } else {
      isSending = false;
      explain(found);
    }
  });
}

// Without another submit event; so the button, which that would bring along, is put in by hand.
function send(form, button) {
  if (button?.name) form.append(make("input", { type: "hidden", name: button.name, value: button.value }));
  if (button?.hasAttribute("formaction")) form.action = button.formAction;
  form.submit();
}

function explain(found) {
  const dialog = document.getElementById("not-sent");
  dialog.querySelector("p").textContent = SAID[found];
  dialog.querySelector("a").hidden = found !== SIGNED_OUT;
  dialog.showModal();
}
