// Pricing calls anew: asks for the next step as long as there is one. Without this script, or when
// the server is away, the button does it.
import { toast } from "./toasts.js";

const walk = document.getElementById("walk");

async function goOn() {
  for (let form = nextStep(); form; form = nextStep()) {
    form.hidden = true;
    try {
      take(await step(form));
    } catch (error) {
      form.hidden = false;
      toast(error.message, "error");
      return;
    }
  }
}

function nextStep() {
  return walk?.querySelector("form[data-go-on]");
}

async function step(form) {
  let answer;
  try {
    answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
  } catch {
    throw new Error("The server is away. Go on in a moment.");
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("walk");
  if (!answer.ok || !fresh) throw new Error("It went no further: go on, or begin again.");
  return fresh;
}

function take(fresh) {
  walk.replaceChildren(...document.importNode(fresh, true).childNodes);
  // confirm.js, which is there, has let go of the buttons of the page it found.
  for (const button of walk.querySelectorAll("[data-confirm] button")) button.disabled = false;
}

goOn();
