// An agent's page: a test whose steps fill in as they finish.
import { ask } from "./api.js";
import { startTimes } from "./times.js";
import { toast } from "./toasts.js";

const FOLLOW_MS = 600;

function startTesting() {
  const region = document.getElementById("agent-test");
  const form = document.querySelector("[data-test-agent]");
  const unfinished = () => {
    const status = region.querySelector("[data-test-status]")?.dataset.testStatus;
    return status === "pending" || status === "running";
  };

  async function take() {
    const answer = await fetch(location.href);
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("agent-test");
    startTimes(fresh);
    if (fresh.innerHTML !== region.innerHTML) region.replaceChildren(...fresh.childNodes);
  }

  async function follow() {
    try {
      await take();
    } catch {
      // The server is away: the next turn asks again.
    }
    if (unfinished()) setTimeout(follow, FOLLOW_MS);
    else form?.querySelector("button")?.removeAttribute("disabled");
  }

  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    form.querySelector("button").disabled = true;
    try {
      await ask("POST", form.dataset.testAgent);
    } catch (error) {
      toast(error.message, "error");
    }
    follow();
  });
  if (unfinished()) follow();
}

startTesting();
