// The page's one socket. It says that something changed; REST says what. Each part of the page names
// its topic, hears every message, and catches up when nobody knows what it has missed: after a gap,
// or where the socket begins with another rev than the page shows.
const RECONNECT_MS = [1000, 2000, 5000, 10000];

const parts = [];
let shownRev = Number(document.querySelector("meta[name=rev]")?.content);
let isOpen = false;
let failures = 0;

export function listen(part) {
  parts.push(part);
}

export function socketIsOpen() {
  return isOpen;
}

export function startSocket() {
  if (parts.length > 0) connect();
}

function connect() {
  const topics = parts.map((part) => part.topic).join(",");
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws?topics=${topics}`);
  socket.addEventListener("open", () => {
    failures = 0;
    show(true);
  });
  socket.addEventListener("message", (event) => hear(JSON.parse(event.data)));
  socket.addEventListener("close", () => {
    show(false);
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

function show(open) {
  isOpen = open;
  const state = document.getElementById("live-state");
  if (state) state.dataset.state = state.textContent = open ? "live" : "polling";
}
