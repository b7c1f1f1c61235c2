// Live status of providers. While the socket is down the page asks every few seconds; a check under
// way is not pushed, so it is asked for quickly.
import { listen, socketIsOpen } from "./socket.js";
import { timeElement } from "./times.js";
import { toast } from "./toasts.js";

const SLOW_MS = 5000;
const QUICK_MS = 1000;
const QUICK_FOR_MS = 30000;
const UNSETTLED = new Set(["pending", "validating"]);
const AT_ONCE = 20; // asks this many providers in one turn, the rest in the next

const states = new Map(); // the last status seen of each provider, by id
const asked = new Map(); // how often each was asked for, by id
let quickUntil = 0;
let timer = null;

export function startLive() {
  if (shownIds().length === 0 && !document.querySelector("[data-live]")) return;
  noteBadges();
  document.addEventListener("region:taken", noteBadges); // new badges, or newer ones
  quickUntil = Date.now() + QUICK_FOR_MS;
  listen({ topic: "providers", hear, catchUp: refreshAll });
  schedule();
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refreshAll();
  });
}

function hear(message) {
  if (message.type === "provider_deleted") markGone(message.provider.id);
  else if (message.provider) refresh([message.provider.id]);
}

function schedule() {
  clearTimeout(timer);
  const quick = unsettledIds().length > 0 && Date.now() < quickUntil;
  timer = setTimeout(turn, quick ? QUICK_MS : SLOW_MS);
}

async function turn() {
  if (!document.hidden) await refresh(socketIsOpen() ? unsettledIds() : shownIds());
  schedule();
}

function refreshAll() {
  return refresh(shownIds());
}

async function refresh(ids) {
  const known = ids.filter((id) => elementsOf(id).length > 0).slice(0, AT_ONCE);
  await Promise.all(known.map(refreshOne));
}

async function refreshOne(id) {
  const question = (asked.get(String(id)) ?? 0) + 1;
  asked.set(String(id), question);
  try {
    const answer = await fetch(`/api/providers/${id}`, { headers: { Accept: "application/json" } });
    const provider = answer.ok ? await answer.json() : null;
    if (question !== asked.get(String(id))) return; // a later question knows better
    if (provider) fill(provider);
    else if (answer.status === 404) markGone(id);
  } catch {
    // The server is away: the next turn asks again.
  }
}

function fill(provider) {
  for (const element of elementsOf(provider.id)) fillOne(element, provider);
  const { id, name, validation_status: status, last_error: error } = provider;
  note(String(id), name, status, error);
}

function noteBadges() {
  for (const { dataset, title } of document.querySelectorAll(".status[data-provider]")) {
    note(dataset.provider, dataset.name, dataset.status, title);
  }
}

// Says so where a status has turned, whoever learnt of it first.
function note(id, name, status, error) {
  const before = states.get(id);
  states.set(id, status);
  if (before === undefined || before === status) return;
  quickUntil = Date.now() + QUICK_FOR_MS;
  if (status === "connected") toast(`${name} is connected.`, "success");
  if (status === "error") toast(`${name}: ${error}`, "error");
}

// Deleted by somebody else: say so, and ask no more.
function markGone(id) {
  for (const element of elementsOf(id)) {
    if (element.matches(".status")) element.textContent = "deleted";
    element.removeAttribute("data-status");
    element.removeAttribute("data-provider");
  }
}

function fillOne(element, provider) {
  const value = provider[element.dataset.field];
  switch (element.dataset.field) {
    case "validation_status":
      element.dataset.status = element.textContent = value;
      element.title = provider.last_error ?? "";
      break;
    case "validation_status_dot":
      element.dataset.status = provider.validation_status;
      break;
    case "latency_ms":
      element.textContent = value === null ? "" : `${value} ms`;
      break;
    case "last_checked_at":
      if (value !== null) element.replaceChildren(timeElement(value));
      break;
    default:
      element.textContent = value ?? "";
  }
}

function elementsOf(id) {
  return document.querySelectorAll(`[data-provider="${Number(id)}"]`);
}

function shownIds() {
  const ids = [...document.querySelectorAll("[data-provider]")].map((e) => e.dataset.provider);
  return [...new Set(ids)];
}

function unsettledIds() {
  return shownIds().filter((id) =>
    [...elementsOf(id)].some((element) => UNSETTLED.has(element.dataset.status)),
  );
}
