// Whether the server is there and its person still signed in. Whoever wants to know is told by an
// event; CSRF's token on the page becomes that of the session as it is now, for somebody may have
// signed in again in another tab.
const PATIENCE_MS = 10000;

export const HERE = "here";
export const OFFLINE = "offline";
export const SIGNED_OUT = "signed out";
export const SAID = {
  [OFFLINE]: "The server is away. Nothing was sent: try again in a moment.",
  [SIGNED_OUT]: "You are signed out. Nothing was sent: sign in again in another tab, then try again here.",
};

export async function lookIn() {
  const found = await find();
  document.dispatchEvent(new CustomEvent("session:found", { detail: found }));
  return found;
}

async function find() {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await fetch("/admin/session/", { redirect: "manual", signal });
    if (answer.type === "opaqueredirect") return SIGNED_OUT; // to the login page
    if (!answer.ok) return OFFLINE;
    takeToken((await answer.json()).csrf_token);
    return HERE;
  } catch {
    return OFFLINE;
  }
}

function takeToken(token) {
  document.querySelector("meta[name=csrf-token]").content = token;
  for (const input of document.querySelectorAll("[name=csrf_token]")) input.value = token;
}
