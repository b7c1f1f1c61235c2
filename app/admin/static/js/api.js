// Asking the server from a script: JSON both ways, with the page's CSRF token.
import { HERE, SAID, lookIn } from "./session.js";

// The answer's JSON. Throws an Error whose message people can read.
export async function ask(method, url, body) {
  if (method !== "GET") {
    const found = await lookIn();
    if (found !== HERE) throw new Error(SAID[found]);
  }
  const headers = {
    Accept: "application/json",
    "X-CSRFToken": document.querySelector('meta[name="csrf-token"]').content,
  };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(url, { method, headers, body: JSON.stringify(body) });
  } catch {
    throw new Error("The server is away. Try again in a moment.");
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  const errors = said.errors?.json ?? {};
  const named = Object.entries(errors).map(([name, texts]) => `${name}: ${[texts].flat().join(" ")}`);
  throw new Error(named.join("; ") || said.message || `HTTP ${answer.status}`);
}
