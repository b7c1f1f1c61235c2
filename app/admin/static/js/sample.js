// A sample answer: read from a text area, and what is wrong with it told beside it.
import { make } from "./dom.js";

export function parseSample(text, result) {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    showErrors(result, [{ path: "$", message: `Not JSON: ${error.message}` }]);
    return null;
  }
}

export function showErrors(result, errors) {
  const good = errors.length === 0;
  result.className = `sample-result ${good ? "is-good" : "is-bad"}`;
  const list = errors.map(({ path, message }) =>
    make("li", {}, make("code", {}, path), ` ${message}`),
  );
  result.replaceChildren(
    make("p", {}, make("b", {}, good ? "It fits the schema." : "It does not fit.")),
    make("ul", {}, ...list),
  );
}
