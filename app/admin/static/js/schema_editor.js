// The fields of a response schema, beside its JSON. The text is always what counts and what is
// saved: the fields are drawn from it and write to it. What they do not know is shown as JSON where
// it stands; where even the top is unknown, only the text can be edited.
import { make, later } from "./dom.js";
import * as model from "./schema_model.js";

const LABELS = { enum: "one of", "date-time": "date and time", array: "list", boolean: "yes or no" };

export class SchemaEditor {
  // `changed` is called after every change of the text, whoever made it.
  constructor(root, text, changed) {
    this.root = root;
    this.text = text;
    this.changed = changed;
    this.schema = null;
    this.opened = new WeakSet(); // the schemas whose limits stand open
    this.pressed = false;
    this.stale = false;
    this.holdWhilePressed();
    text.addEventListener(
      "input",
      later(() => this.read(), 250),
    );
    root.addEventListener("keydown", (event) => {
      // Enter in a field ends the entry; it does not save the whole form.
      if (event.key !== "Enter" || !event.target.matches("input")) return;
      event.preventDefault();
      event.target.dispatchEvent(new Event("change", { bubbles: true }));
    });
    this.read();
  }

  setText(schema) {
    this.text.value = JSON.stringify(schema, null, 2);
    this.read();
  }

  read() {
    const text = this.text.value.trim();
    this.schema = null;
    if (text === "") this.draw(this.nothingYet());
    else this.draw(this.tryToRead(text));
    this.changed();
  }

  tryToRead(text) {
    try {
      this.schema = JSON.parse(text);
    } catch (error) {
      return [notice("This is not JSON yet.", error.message)];
    }
    const reason = model.whyRaw(text, this.schema);
    if (reason === null) return this.drawRoot();
    return [
      model.isShortForm(this.schema)
        ? notice("This is the short form.", "Saving turns it into JSON Schema.")
        : notice("Edit this one as JSON.", `${reason} Nothing of it is lost.`),
    ];
  }

  // After a change of what fields there are: the text follows, and all is drawn anew.
  write(focus) {
    this.tell();
    this.redraw(focus);
  }

  // After an entry into a field. Its change comes as the field is left, while a button is being
  // pressed or the next field is on its way to the focus: what is drawn waits for that.
  note() {
    this.tell();
    this.stale = true;
    setTimeout(() => this.redrawIfStale());
  }

  tell() {
    this.text.value = JSON.stringify(this.schema, null, 2);
    this.changed();
  }

  holdWhilePressed() {
    this.root.addEventListener("pointerdown", () => (this.pressed = true));
    for (const end of ["pointerup", "pointercancel"]) {
      document.addEventListener(end, () => {
        this.pressed = false;
        setTimeout(() => this.redrawIfStale()); // after the click
      });
    }
  }

  redrawIfStale() {
    if (this.stale && !this.pressed) this.redraw(document.activeElement?.dataset.at);
  }

  redraw(focus) {
    this.stale = false;
    this.draw(this.drawRoot());
    if (focus) this.root.querySelector(`[data-at="${CSS.escape(focus)}"]`)?.focus();
  }

  draw(elements) {
    this.root.replaceChildren(...elements);
  }

  nothingYet() {
    const add = button("Add the first field", "plus", "add:", () => {
      this.schema = model.blank("object");
      model.addField(this.schema);
      this.write("name:0");
    });
    add.className = "btn btn-primary";
    return [notice("No schema.", "Any answer will do."), make("p", {}, add)];
  }

  drawRoot() {
    return [
      make("div", { className: "schema-root" }, ...this.kindAndLimits(this.schema, "", "The answer is")),
    ];
  }

  // A schema's kind, its limits, and what is inside of it. `at` is its place, for the focus; the
  // first line is shared with what stands `before` the kind and `behind` it.
  kindAndLimits(schema, at, label, before = [], behind = []) {
    const kind = model.kindOf(schema);
    const select = kind === null ? null : this.kindSelect(schema, kind, at, label);
    const parts = [make("div", { className: "schema-line" }, ...before, select, ...behind)];
    if (kind === null) return [...parts, this.asJson(schema, at)];
    if (kind === "enum") parts.push(this.enumValues(schema, at));
    parts.push(...this.limits(schema, kind, at));
    if (kind === "object") parts.push(this.fields(schema, at));
    if (kind === "array") parts.push(this.items(schema, at));
    return parts;
  }

  kindSelect(schema, kind, at, label) {
    const options = model.KINDS.map((name) =>
      make("option", { value: name, selected: name === kind }, LABELS[name] ?? name),
    );
    const select = make("select", { data: { at: `kind:${at}` } }, ...options);
    select.addEventListener("change", () => {
      model.setKind(schema, select.value);
      this.write(`kind:${at}`);
    });
    return labelled(label, select);
  }

  fields(object, at) {
    const names = model.fieldsOf(object);
    const rows = names.map((name, index) => this.field(object, name, index, names.length, at));
    const add = button("Add a field", "plus", `add:${at}`, () => {
      model.addField(object);
      this.write(`name:${at}${names.length}`);
    });
    return make(
      "div",
      { className: "schema-fields" },
      make("ol", { "aria-label": "Fields" }, ...rows),
      add,
    );
  }

  field(object, name, index, count, at) {
    const here = `${at}${index}`;
    const schema = object.properties[name];
    const called = () => model.fieldsOf(object)[index]; // it may have been renamed since
    const move = (by) => () => {
      model.moveField(object, called(), by);
      this.write(`${by < 0 ? "up" : "down"}:${at}${index + by}`);
    };
    const up = button("", "↑", `up:${here}`, move(-1), `Move ${name} up`);
    const down = button("", "↓", `down:${here}`, move(1), `Move ${name} down`);
    up.disabled = index === 0;
    down.disabled = index === count - 1;
    const remove = button("", "✕", `remove:${here}`, () => {
      model.removeField(object, called());
      this.write(count > 1 ? `name:${at}${Math.min(index, count - 2)}` : `add:${at}`);
    }, `Remove ${name}`);
    const before = [this.nameInput(object, called, here)];
    const behind = [
      this.requiredBox(object, called, here),
      make("div", { className: "step-tools" }, up, down, remove),
    ];
    return make(
      "li",
      { className: "schema-field", data: { field: name } },
      ...this.kindAndLimits(schema, `${here}.`, "Type", before, behind),
    );
  }

  nameInput(object, called, here) {
    const input = make("input", {
      value: called(),
      spellcheck: false,
      data: { at: `name:${here}` },
    });
    input.addEventListener("change", () => {
      const done = model.renameField(object, called(), input.value.trim());
      input.setCustomValidity(done ? "" : "Another name, please: it is taken, empty or a number.");
      if (done) this.note();
      else input.reportValidity();
    });
    return labelled("Name", input);
  }

  requiredBox(object, called, here) {
    const box = make("input", {
      type: "checkbox",
      checked: model.isRequired(object, called()),
      data: { at: `required:${here}` },
    });
    box.addEventListener("change", () => {
      model.setRequired(object, called(), box.checked);
      this.note();
    });
    return make("label", { className: "schema-check" }, box, " required");
  }

  limits(schema, kind, at) {
    const inputs = [this.description(schema, at)];
    for (const [keyword, label, holds] of model.LIMITS[kind] ?? []) {
      inputs.push(this.limit(schema, keyword, label, holds, at));
    }
    const set = (model.LIMITS[kind] ?? []).filter(([keyword]) => keyword in schema);
    const more = model.carried(schema, kind);
    const summary = [
      schema.description ? "described" : "",
      ...set.map(([keyword, label]) => `${label.toLowerCase()} ${schema[keyword]}`),
      ...more.map((keyword) => `${keyword} (kept)`),
    ].filter(Boolean);
    const details = make(
      "details",
      { className: "schema-more", open: this.opened.has(schema) },
      make("summary", {}, "Description and limits", make("span", { className: "muted" }, summary.length ? ` · ${summary.join(", ")}` : "")),
      make("div", { className: "schema-limits" }, ...inputs),
    );
    details.addEventListener("toggle", () => {
      if (details.open) this.opened.add(schema);
      else this.opened.delete(schema);
    });
    return [details];
  }

  description(schema, at) {
    const input = make("input", { value: schema.description ?? "", data: { at: `about:${at}` } });
    input.addEventListener("change", () => {
      set(schema, "description", input.value.trim());
      this.note();
    });
    return labelled("Description", input, "schema-about");
  }

  limit(schema, keyword, label, holds, at) {
    const place = `${keyword}:${at}`;
    const input = make("input", { data: { at: place } });
    if (holds === "flag") {
      Object.assign(input, { type: "checkbox", checked: schema[keyword] === true });
    } else if (holds === "text") {
      Object.assign(input, { value: schema[keyword] ?? "", spellcheck: false });
    } else {
      Object.assign(input, { type: "number", step: holds === "count" ? 1 : "any", value: schema[keyword] ?? "" });
      if (holds === "count") input.min = 0;
    }
    input.addEventListener("change", () => {
      if (!input.reportValidity()) return;
      if (holds === "flag") set(schema, keyword, input.checked);
      else set(schema, keyword, holds === "text" || input.value === "" ? input.value : Number(input.value));
      this.note();
    });
    return holds === "flag"
      ? make("label", { className: "schema-check" }, input, ` ${label}`)
      : labelled(label, input);
  }

  enumValues(schema, at) {
    const area = make("textarea", {
      value: schema.enum.join("\n"),
      rows: Math.min(Math.max(schema.enum.length, 2), 8),
      spellcheck: false,
      data: { at: `values:${at}` },
    });
    area.addEventListener("change", () => {
      const values = area.value.split("\n").map((line) => line.trim());
      schema.enum = [...new Set(values.filter(Boolean))];
      this.note();
    });
    return labelled("Values, one a line", area);
  }

  items(schema, at) {
    if (schema.items === undefined) {
      return button("Say what the items are", "plus", `items:${at}`, () => {
        schema.items = { type: "string" };
        this.write(`kind:${at}i.`);
      });
    }
    return make("div", { className: "schema-items" }, ...this.kindAndLimits(schema.items, `${at}i.`, "Each item is"));
  }

  // What has no fields here stays JSON, in its place.
  asJson(schema, at) {
    const area = make("textarea", {
      value: JSON.stringify(schema, null, 2),
      rows: 5,
      spellcheck: false,
      className: "code",
      data: { at: `json:${at}` },
    });
    area.addEventListener("change", () => {
      try {
        const entered = JSON.parse(area.value);
        for (const name of Object.keys(schema)) delete schema[name];
        Object.assign(schema, entered);
        area.setCustomValidity("");
        this.note();
      } catch (error) {
        area.setCustomValidity(error.message);
        area.reportValidity();
      }
    });
    area.disabled = typeof schema !== "object"; // true and false are changed in the text
    return labelled("As JSON: this has no fields here", area);
  }
}

function set(schema, keyword, value) {
  if (value === "" || value === false) delete schema[keyword];
  else schema[keyword] = value;
}

function labelled(text, control, className = "") {
  return make("label", { className: `schema-control ${className}` }, make("span", {}, text), control);
}

function button(label, sign, at, work, name = "") {
  const element = make("button", { type: "button", className: "btn btn-small", data: { at } });
  element.textContent = sign === "plus" ? `+ ${label}` : sign;
  if (name) element.setAttribute("aria-label", name);
  element.addEventListener("click", work);
  return element;
}

function notice(strong, text) {
  return make("p", { className: "schema-notice" }, make("b", {}, strong), ` ${text}`);
}
