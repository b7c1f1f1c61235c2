// Parts of a page that stay true while it is open: an element with an id and data-live is taken
// anew from the page's own address when the socket tells of a change of a kind that data-live names
// ("agent provider", or "any"), when a heartbeat's rev has moved on, after a reconnect, and by the
// clock (data-every, in seconds).
import { isSending } from "./sending.js";
import { lookIn } from "./session.js";
import { listen, socketIsOpen } from "./socket.js";
import { startTimes } from "./times.js";
import { toast } from "./toasts.js";

const GATHER_MS = 150; // one question for all the messages of a change
const POLL_S = 5; // while the socket is down
const TICK_MS = 1000;
const PATIENCE_MS = 30000;

const regions = () => [...document.querySelectorAll("[data-live]")];
const due = new Set();
const late = new Set(); // regions that were busy when their turn came
let gathering = null;
let rev = null;
let seconds = 0;
let isGone = false;

export function startRegions() {
  if (regions().length === 0) return;
  listen({ topic: "agents,providers,tasks", hear, catchUp: () => want(() => true) });
  setInterval(tick, TICK_MS);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) want(() => true);
  });
}

function hear(message) {
  if (message.type === "welcome" || message.type === "heartbeat") {
    // What is not pushed by name (accounts, descriptions) raises the rev all the same.
    if (rev !== null && message.rev !== rev) want(() => true);
    rev = message.rev;
  } else {
    want((region) => kinds(region).some((kind) => tellsOf(message.type, kind)));
  }
}

// A provider's status is live.js's, which knows the badge; what counts states names it.
function tellsOf(type, kind) {
  if (kind === "any" || type === kind) return true;
  return type !== "provider_status" && type.startsWith(`${kind}_`);
}

function kinds(region) {
  return region.dataset.live.split(" ");
}

function tick() {
  seconds += 1;
  want((region) => {
    if (late.has(region.id) && !isBusy(region)) return late.delete(region.id);
    const every = Number(region.dataset.every) || (socketIsOpen() ? 0 : POLL_S);
    return every > 0 && seconds % every === 0;
  });
}

function want(wanted) {
  if (document.hidden) return; // it catches up when it is looked at
  for (const region of regions().filter(wanted)) due.add(region.id);
  if (due.size > 0) gathering ??= setTimeout(refresh, GATHER_MS);
}

// One question at a time: of two, the older answer may come last.
async function refresh() {
  const ids = [...due];
  due.clear();
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal });
    if (answer.redirected) lookIn(); // signed out, most likely
    if (answer.status === 404) sayGone();
    if (!answer.ok || answer.redirected) return; // what is shown stays
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ids) take(id, page.getElementById(id));
  } catch {
    // The server is away: the next message or turn asks again.
  } finally {
    gathering = null;
    want(() => false); // what has come meanwhile
  }
}

function sayGone() {
  if (!isGone) toast("What this page shows has been deleted or renamed.", "error");
  isGone = true;
}

function take(id, fresh) {
  const old = document.getElementById(id);
  if (!old || !fresh) return;
  if (isBusy(old)) {
    late.add(id);
    return;
  }
  startTimes(fresh);
  keepState(old, fresh);
  if (old.innerHTML === fresh.innerHTML) return;
  const focused = old.contains(document.activeElement) && pathOf(document.activeElement);
  old.replaceChildren(...document.importNode(fresh, true).childNodes);
  if (focused) old.querySelector(focused)?.focus();
  document.dispatchEvent(new CustomEvent("region:taken", { detail: old }));
}

// Nothing is taken from under somebody who types, presses or has just pressed a button, has chosen
// rows or is being asked: the answer goes to the form that asked.
function isBusy(region) {
  const typing = document.activeElement?.matches("input, select, textarea");
  if (typing && region.contains(document.activeElement)) return true;
  if (region.matches(":active") || isSending(region)) return true;
  if (document.querySelector("dialog[open]")) return true;
  return region.querySelector("[data-select]:checked") !== null;
}

// What stood open stays so, as do buttons that their scripts have let go, and the page's own token,
// which is as good as the new one: what has not changed is not touched.
function keepState(old, fresh) {
  const token = document.querySelector("meta[name=csrf-token]").content;
  for (const input of fresh.querySelectorAll("[name=csrf_token]")) input.setAttribute("value", token);
  const before = old.querySelectorAll("details");
  fresh.querySelectorAll("details").forEach((details, index) => {
    if (before[index]) details.open = before[index].open;
  });
  const letGo = "[data-confirm] button, [data-copy]";
  for (const button of fresh.querySelectorAll(letGo)) button.disabled = false;
}

// How to find the focused element again among the new ones.
function pathOf(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const name = ["aria-label", "href"].find((attribute) => element.hasAttribute(attribute));
  if (!name) return null;
  return `${element.tagName}[${name}="${CSS.escape(element.getAttribute(name))}"]`;
}
