// Times in the viewer's own zone; the title keeps them in UTC, which is what logs and APIs say.
const shown = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short" });

export function startTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) localize(element);
}

export function timeElement(iso) {
  const element = document.createElement("time");
  element.dateTime = iso;
  localize(element);
  return element;
}

function localize(element) {
  const at = new Date(element.dateTime);
  const [date, clock] = at.toISOString().split("T");
  element.title = `${date} ${clock.slice(0, 8)} UTC`;
  element.textContent = shown.format(at);
}
