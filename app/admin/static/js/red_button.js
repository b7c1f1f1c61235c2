// Keeps the red button in the header true while the page stays open. While the socket is down it asks
// every few seconds.
import { listen, socketIsOpen } from "./socket.js";
import { toast } from "./toasts.js";

const POLL_MS = 5000;
const GATHER_MS = 100; // one question for all the messages of a change

const header = document.getElementById("red-button");
let gathering = null;
let asked = 0;

export function startRedButton() {
  if (!header) return;
  listen({ topic: "agents", hear, catchUp: refreshSoon });
  setInterval(() => {
    if (!socketIsOpen() && !document.hidden) refresh();
  }, POLL_MS);
}

// While nothing is halted, an agent that is not halted either changes nothing here.
function hear(message) {
  if (!message.type.startsWith("agent_")) return;
  if (message.config?.halted !== false || isHalted() || header.dataset.agents !== "0") refreshSoon();
}

function isHalted() {
  return header.dataset.halted === "true";
}

function refreshSoon() {
  gathering ??= setTimeout(refresh, GATHER_MS);
}

async function refresh() {
  gathering = null;
  const question = ++asked;
  try {
    const answer = await fetch("/api/halt", { headers: { Accept: "application/json" } });
    const state = answer.ok ? await answer.json() : null;
    if (state && question === asked) fill(state); // a later question knows better
  } catch {
    // The server is away: the next message or turn asks again.
  }
}

function fill(state) {
  const turned = isHalted() !== state.halted;
  const reason = state.halted_reason ? `: ${state.halted_reason}` : "";
  const many = state.halted_agents;
  header.dataset.halted = state.halted;
  header.dataset.agents = many;
  header.querySelector("[data-halt-reason]").textContent = reason;
  for (const element of header.querySelectorAll("[data-when]")) {
    element.hidden = (element.dataset.when === "halted") !== state.halted;
  }
  const count = header.querySelector(".halt-count");
  count.textContent = `${many} agent${many === 1 ? "" : "s"} halted`;
  count.hidden = many === 0;
  if (turned && state.halted) toast(`All agents halted${reason}`, "error");
  else if (turned) toast("The button for all agents is released.", "success");
}
