// A form is sent once, however often its button is pressed, and only to a server that is there and
// knows who sends it: what was typed would be lost with the page otherwise.
import { make } from "./dom.js";
import { HERE, SAID, SIGNED_OUT, lookIn } from "./session.js";

const ONCE_IN_MS = 10000; // who stops the page from loading may send it again

const underWay = new Set();

// After whatever else listens to a submit: what was prevented is none of this module's business.
export function startSending() {
  document.addEventListener("submit", async (event) => {
    const { target: form, submitter: button } = event;
    if (event.defaultPrevented || form.getAttribute("method") !== "post") return;
    event.preventDefault();
    if (underWay.has(form)) return;
    underWay.add(form);
    const found = await lookIn();
    if (found === HERE) {
      send(form, button);
      setTimeout(() => underWay.delete(form), ONCE_IN_MS);
    } else {
      underWay.delete(form);
      explain(found);
    }
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) underWay.clear(); // brought back as it was left
  });
}

// Whether a form is being sent from there: taken out of the page, it would not go.
export function isSending(region) {
  return [...underWay].some((form) => region.contains(form));
}

// Without another submit event; so what the button brings along is put in by hand, and taken out
// again, for the page may stay.
function send(form, button) {
  const action = form.getAttribute("action") ?? "";
  const value = make("input", { type: "hidden", name: button?.name ?? "", value: button?.value ?? "" });
  form.append(value);
  form.setAttribute("action", button?.getAttribute("formaction") ?? action);
  form.submit();
  form.setAttribute("action", action);
  value.remove();
}

function explain(found) {
  const dialog = document.getElementById("not-sent");
  dialog.querySelector("p").textContent = SAID[found];
  dialog.querySelector("a").hidden = found !== SIGNED_OUT;
  dialog.showModal();
}
