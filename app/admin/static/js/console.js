// What every page of the console does. Each module finds its own elements, or does nothing.
import { startAsking } from "./ask_reason.js";
import { startBaseUrl } from "./base_url.js";
import { startChainEditor } from "./chain.js";
import { startConfirming } from "./confirm.js";
import { startCopying } from "./copy.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { startMenu } from "./menu.js";
import { startPalette } from "./palette.js";
import { startPicking } from "./picker.js";
import { startRedButton } from "./red_button.js";
import { startRegions } from "./regions.js";
import { startSelection } from "./selection.js";
import { startSending } from "./sending.js";
import { startSocket } from "./socket.js";
import { startStaleness } from "./stale.js";
import { startTimes } from "./times.js";
import { startToasts } from "./toasts.js";

const root = document.documentElement;

function toggleTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const next = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
  root.dataset.theme = next;
  localStorage.setItem("switchyard-theme", next);
}

document.querySelector("[data-theme-toggle]")?.addEventListener("click", toggleTheme);
startTimes();
startToasts();
startMenu();
startPalette();
startKeys();
startConfirming();
startAsking();
startSending(); // after what asks first
startCopying();
startPicking();
startChainEditor();
startBaseUrl();
startSelection();
startLive();
startRegions();
startStaleness();
startRedButton();
startSocket(); // once every part has said what it listens to
document.querySelector("[aria-invalid]")?.focus(); // the first field that was refused
