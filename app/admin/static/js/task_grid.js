// The grid of agents and tasks: a tick gives or takes at once, and other people's ticks appear.
import { ask } from "./api.js";
import { later } from "./dom.js";
import { listen } from "./socket.js";
import { toast } from "./toasts.js";

const POLL_MS = 5000;
const grid = document.querySelector("[data-grid]");
const boxes = (root) => [...root.querySelectorAll("input[data-task]")];
const under = new Set(); // boxes whose change is under way
let changes = 0; // begun or ended

function show(box, state) {
  box.dataset.state = state;
  box.checked = state !== "none";
  box.indeterminate = state === "off"; // it has the task, switched off
}

async function turn(box) {
  const { agent, task, taskName, state: before } = box.dataset;
  const tasks = `/api/agents/${agent}/tasks`;
  under.add(box);
  changes += 1;
  try {
    if (before === "none") await ask("POST", tasks, { task_id: Number(task) });
    else if (before === "off") await ask("PATCH", `${tasks}/${task}`, { is_active: true });
    else await ask("DELETE", `${tasks}/${task}`);
    show(box, before === "on" ? "none" : "on");
    toast(`${agent} ${before === "on" ? "no longer has" : "has"} ${taskName}.`, "success");
  } catch (error) {
    show(box, before);
    toast(error.message, "error");
  }
  under.delete(box);
  changes += 1;
}

async function refresh() {
  const before = changes;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (changes !== before) return soon(); // it may have been read before one of them
    const states = new Map(boxes(page).map((box) => [box.id, box.dataset.state]));
    for (const box of boxes(grid)) {
      if (!under.has(box) && states.has(box.id)) show(box, states.get(box.id));
    }
  } catch {
    // The server is away: the next message asks again.
  }
}

const soon = later(refresh, 150);

if (grid) {
  for (const box of boxes(grid)) {
    show(box, box.dataset.state);
    box.disabled = grid.dataset.grid !== "write";
  }
  grid.addEventListener("change", (event) => {
    if (event.target.matches("input[data-task]")) turn(event.target);
  });
  listen({ topic: "agents,tasks", hear: soon, catchUp: refresh });
  setInterval(() => document.hidden || refresh(), POLL_MS);
}
