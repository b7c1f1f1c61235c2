// The page's one socket. It says that something changed; REST says what. Each part of the page names
// its topic, hears every message, and catches up when nobody knows what it has missed: after a gap,
// or where the socket begins with another rev than the page shows.
import { HERE, SIGNED_OUT, lookIn } from "./session.js";
import { toast } from "./toasts.js";

const RECONNECT_MS = [1000, 2000, 5000, 10000];

const parts = [];
let shownRev = Number(document.querySelector("meta[name=rev]")?.content);
let isOpen = false;
let failures = 0;
let session = HERE;

export function listen(part) {
  parts.push(part);
}

export function socketIsOpen() {
  return isOpen;
}

export function startSocket() {
  document.addEventListener("session:found", (event) => showSession(event.detail));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) lookIn();
  });
  if (parts.length > 0) connect();
}

function connect() {
  const topics = parts.map((part) => part.topic).join(",");
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws?topics=${topics}`);
  socket.addEventListener("open", () => {
    failures = 0;
    isOpen = true;
    showSession(HERE);
  });
  socket.addEventListener("message", (event) => hear(JSON.parse(event.data)));
  socket.addEventListener("close", () => {
    isOpen = false;
    show();
    lookIn(); // why it has closed
    const pause = RECONNECT_MS[Math.min(failures++, RECONNECT_MS.length - 1)];
    setTimeout(connect, pause * (1 + Math.random() / 2));
  });
}

function hear(message) {
  const missed = message.type === "welcome" && message.rev !== shownRev;
  if (message.type === "welcome") shownRev = null; // the next one comes after a gap
  if (missed || message.type === "resync") catchUp();
  if (message.type !== "resync") for (const part of parts) part.hear(message);
}

function catchUp() {
  for (const part of parts) part.catchUp();
}

function showSession(found) {
  if (found === SIGNED_OUT && session !== SIGNED_OUT) toast("You are signed out: sign in again.", "error");
  session = found;
  show();
}

function show() {
  const state = document.getElementById("live-state");
  const says = session !== HERE ? session : isOpen ? "live" : "polling";
  if (state) state.dataset.state = state.textContent = says;
}
