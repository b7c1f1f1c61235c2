// What the visual editor knows of JSON Schema. It works on the parsed schema itself, in place, so
// that what it does not know stays where it is.
export const KINDS = [
  "string",
  "number",
  "integer",
  "boolean",
  "enum",
  "date-time",
  "array",
  "object",
];

const NOTES = ["$schema", "title", "description", "default", "examples"];
const NUMERIC = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const KEYWORDS = {
  string: ["minLength", "maxLength", "pattern", "format"],
  number: NUMERIC,
  integer: NUMERIC,
  boolean: [],
  enum: ["enum"],
  "date-time": ["format"],
  array: ["items", "minItems", "maxItems", "uniqueItems"],
  object: ["properties", "required", "additionalProperties"],
};

// The limits that have an input, each with its label and what it holds.
export const LIMITS = {
  string: [
    ["minLength", "Min length", "count"],
    ["maxLength", "Max length", "count"],
    ["pattern", "Pattern", "text"],
  ],
  number: [
    ["minimum", "Minimum", "number"],
    ["maximum", "Maximum", "number"],
  ],
  integer: [
    ["minimum", "Minimum", "number"],
    ["maximum", "Maximum", "number"],
  ],
  array: [
    ["minItems", "Min items", "count"],
    ["maxItems", "Max items", "count"],
    ["uniqueItems", "No item twice", "flag"],
  ],
};
const EDITED = new Set(["type", "description", "enum", "items", "properties", "required"]);

// One of KINDS, or null where the schema says something that has no field here.
export function kindOf(schema) {
  if (!isObject(schema)) return null;
  const kind = guess(schema);
  if (kind === null) return null;
  const known = new Set(["type", ...NOTES, ...KEYWORDS[kind]]);
  if (Object.keys(schema).some((name) => !known.has(name))) return null;
  return isSound(kind, schema) ? kind : null;
}

// Keywords that are kept as they are, for the reader to know of.
export function carried(schema, kind) {
  const limits = (LIMITS[kind] ?? []).map(([name]) => name);
  const edited = new Set([...EDITED, ...limits, kind === "date-time" ? "format" : ""]);
  return Object.keys(schema).filter((name) => !edited.has(name));
}

// Why a text cannot be shown as fields, or null.
export function whyRaw(text, schema) {
  if (!isObject(schema)) return "A JSON object is wanted.";
  if (hasNumberNames(schema)) return "A field's name is a number, whose order a script would lose.";
  if (/[0-9]{16}|[0-9][eE][+-]?[0-9]/.test(text)) {
    return "A number has more digits than a script can keep.";
  }
  if (kindOf(schema) !== null) return null;
  const odd = Object.keys(schema).find((name) => !NOTES.includes(name) && name !== "type");
  return odd ? `It uses “${odd}” at its top.` : "Its top has no type that has fields here.";
}

export function isShortForm(schema) {
  const standard = "$schema" in schema || "$ref" in schema || typeof schema.type === "string";
  return !standard && Object.keys(schema).length > 0;
}

export function blank(kind) {
  if (kind === "enum") return { type: "string", enum: ["first", "second"] };
  if (kind === "date-time") return { type: "string", format: "date-time" };
  if (kind === "array") return { type: "array", items: { type: "string" } };
  if (kind === "object") return { type: "object", properties: {}, required: [] };
  return { type: kind };
}

// Another kind keeps what is said about the field, but not what only the old one takes.
export function setKind(schema, kind) {
  const { $schema, title, description } = schema;
  for (const name of Object.keys(schema)) delete schema[name];
  const notes = { $schema, title, description };
  for (const name of Object.keys(notes)) if (notes[name] === undefined) delete notes[name];
  Object.assign(schema, blank(kind), notes);
}

export function fieldsOf(object) {
  return Object.keys(object.properties ?? {});
}

export function addField(object, schema = { type: "string" }) {
  const taken = fieldsOf(object);
  let name = "field";
  for (let n = 2; taken.includes(name); n++) name = `field_${n}`;
  object.properties = { ...object.properties, [name]: schema };
  object.required = [...(object.required ?? []), name];
}

export function removeField(object, name) {
  delete object.properties[name];
  setRequired(object, name, false);
}

// False where another field has the name already, or it is none.
export function renameField(object, from, to) {
  if (to === from) return true;
  if (!to || /^\d+$/.test(to) || to === "__proto__" || fieldsOf(object).includes(to)) return false;
  const renamed = (name) => (name === from ? to : name);
  object.properties = Object.fromEntries(
    Object.entries(object.properties).map(([name, schema]) => [renamed(name), schema]),
  );
  if (object.required) object.required = object.required.map(renamed);
  return true;
}

export function moveField(object, name, by) {
  const entries = Object.entries(object.properties);
  const from = entries.findIndex(([key]) => key === name);
  const to = from + by;
  if (to < 0 || to >= entries.length) return;
  entries.splice(to, 0, ...entries.splice(from, 1));
  object.properties = Object.fromEntries(entries);
}

export function isRequired(object, name) {
  return (object.required ?? []).includes(name);
}

export function setRequired(object, name, required) {
  const others = (object.required ?? []).filter((other) => other !== name);
  const all = required ? [...others, name] : others;
  // In the order of the fields, so that a schema reads the same whatever was clicked first.
  const order = fieldsOf(object);
  object.required = all.sort((a, b) => order.indexOf(a) - order.indexOf(b));
}

function guess(schema) {
  if ("enum" in schema) return [undefined, "string"].includes(schema.type) ? "enum" : null;
  if (schema.type === "string" && schema.format === "date-time") {
    return ["minLength", "maxLength", "pattern"].some((name) => name in schema)
      ? "string"
      : "date-time";
  }
  return KINDS.includes(schema.type) ? schema.type : null;
}

function isSound(kind, schema) {
  if (kind === "enum") return Array.isArray(schema.enum) && schema.enum.every(isLine);
  if (kind === "array") return schema.items === undefined || isObject(schema.items);
  if (kind !== "object") return true;
  const { properties = {}, required = [] } = schema;
  return isObject(properties) && Array.isArray(required) && typeof schema.additionalProperties !== "object";
}

// Values stand one a line.
function isLine(value) {
  return typeof value === "string" && value !== "" && value.trim() === value && !/[\r\n]/.test(value);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function hasNumberNames(value) {
  if (Array.isArray(value)) return value.some(hasNumberNames);
  if (!isObject(value)) return false;
  return Object.entries(value).some(
    ([name, inner]) => /^\d+$/.test(name) || name === "__proto__" || hasNumberNames(inner),
  );
}
