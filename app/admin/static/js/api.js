// Asking the server from a script: JSON both ways, with the page's CSRF token.
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// The answer's JSON. Throws Refused, whose message people can read; 0 = the server is away.
export async function ask(method, url, body) {
  const headers = {
    Accept: "application/json",
    "X-CSRFToken": document.querySelector('meta[name="csrf-token"]').content,
  };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(url, { method, headers, body: JSON.stringify(body) });
  } catch {
    throw new Refused("The server is away. Try again in a moment.", 0);
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  const errors = said.errors?.json ?? {};
  const named = Object.entries(errors).map(([name, texts]) => `${name}: ${[texts].flat().join(" ")}`);
  throw new Refused(named.join("; ") || said.message || `HTTP ${answer.status}`, answer.status);
}
