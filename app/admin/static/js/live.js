// Live status: the socket says that something changed, REST says what. While the socket is down the
// page asks every few seconds; a check under way is not pushed, so it is asked for quickly.
import { toast } from "./toasts.js";

const SLOW_MS = 5000;
const QUICK_MS = 1000;
const QUICK_FOR_MS = 30000;
const RECONNECT_MS = [1000, 2000, 5000, 10000];
const UNSETTLED = new Set(["pending", "validating"]);
const AT_ONCE = 20; // asks this many providers in one turn, the rest in the next

let socketIsOpen = false;
let failures = 0;
let quickUntil = 0;
let timer = null;

export function startLive() {
  if (shownIds().length === 0) return;
  quickUntil = Date.now() + QUICK_FOR_MS;
  connect();
  schedule();
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refreshAll();
  });
}

function connect() {
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws?topics=providers`);
  socket.addEventListener("open", () => {
    failures = 0;
    show(true);
    refreshAll(); // what changed while nobody was listening
  });
  socket.addEventListener("message", (event) => hear(JSON.parse(event.data)));
  socket.addEventListener("close", () => {
    show(false);
    const pause = RECONNECT_MS[Math.min(failures++, RECONNECT_MS.length - 1)];
    setTimeout(connect, pause * (1 + Math.random() / 2));
  });
}

function hear(message) {
  if (message.type === "resync") refreshAll();
  else if (message.type === "provider_deleted") markGone(message.provider.id);
  else if (message.provider) refresh([message.provider.id]);
}

function show(open) {
  socketIsOpen = open;
  const state = document.getElementById("live-state");
  if (!state) return;
  state.dataset.state = state.textContent = open ? "live" : "polling";
}

function schedule() {
  clearTimeout(timer);
  const quick = unsettledIds().length > 0 && Date.now() < quickUntil;
  timer = setTimeout(turn, quick ? QUICK_MS : SLOW_MS);
}

async function turn() {
  if (!document.hidden) await refresh(socketIsOpen ? unsettledIds() : shownIds());
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
  try {
    const answer = await fetch(`/api/providers/${id}`, { headers: { Accept: "application/json" } });
    if (answer.ok) fill(await answer.json());
    else if (answer.status === 404) markGone(id);
  } catch {
    // The server is away: the next turn asks again.
  }
}

function fill(provider) {
  const status = provider.validation_status;
  const badge = document.querySelector(`.status[data-provider="${provider.id}"]`);
  const before = badge?.dataset.status;
  for (const element of elementsOf(provider.id)) fillOne(element, provider);
  if (before === undefined || before === status) return;
  quickUntil = Date.now() + QUICK_FOR_MS;
  if (status === "connected") toast(`${provider.name} is connected.`, "success");
  if (status === "error") toast(`${provider.name}: ${provider.last_error}`, "error");
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

function timeElement(iso) {
  const [date, clock] = new Date(iso).toISOString().split("T");
  const element = document.createElement("time");
  element.dateTime = iso;
  element.title = `${date} ${clock.slice(0, 8)} UTC`;
  element.textContent = `${date} ${clock.slice(0, 5)} UTC`;
  return element;
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
