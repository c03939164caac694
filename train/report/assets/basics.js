// The report's document, and helpers for elements, numbers, arrays, colours and positions.
// Names from the data are inserted as text only, never as markup.
const doc = JSON.parse(document.getElementById("data").textContent);
const { run, epigenomes, genes } = doc;
const { marks, n_bins: bins } = run;
const CLASSES = ["off", "on"];

// What the reader has chosen.
const state = {
  epigenome: 0,
  other: -1, // the epigenome to compare with; -1 compares with the other class
  class: "on",
  source: "",
  style: doc.style,
  gene: 0,
  pair: [0, 1], // the epigenomes of the contrast
  sort: "auroc",
  descending: true,
};

// ---- Elements
const SVG = "http://www.w3.org/2000/svg";
const $ = id => document.getElementById(id);
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Set attributes, and listeners for those that start with "on"; append children. Empty ones are skipped.
function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (isMissing(value)) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children.filter(child => child !== null).map(child => (typeof child === "number" ? String(child) : child)));
  return node;
}

// ---- Numbers
const isMissing = value => value === null || value === undefined;
const fixed = (value, digits) => (isMissing(value) ? "" : value.toFixed(digits).replace("-", "\u2212"));
const percent = value => (isMissing(value) ? "" : fixed(100 * value, 1));
const sum = values => values.reduce((total, value) => total + value, 0);
const mean = values => sum(values) / values.length;
const largest = values => Math.max(...values.map(Math.abs)) || 1;
const shorten = (value, digits) => +value.toPrecision(digits);

// ---- Arrays: integers, compressed, with an optional scale per entry (see packing.py)
const arrays = await unpack();

async function unpack() {
  const packed = Uint8Array.from(atob(doc.blob), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const types = { uint16: Uint16Array, int16: Int16Array, int8: Int8Array };
  const unpacked = {};
  for (const [name, { type, shape, offset, scale }] of Object.entries(doc.arrays)) {
    const length = shape.reduce((a, b) => a * b, 1);
    unpacked[name] = { values: new types[type](buffer, offset, length), shape, scale };
  }
  return unpacked;
}

// The values along the last axis of an array, such as all bins, at these indices of the others.
function row(name, ...indices) {
  const { values, shape, scale } = arrays[name];
  const length = shape[shape.length - 1];
  let entry = 0;
  indices.forEach((index, axis) => { entry = entry * shape[axis] + index; });
  let factor = name === "pattern" ? 1 / 65535 : 1;
  if (scale) factor = scale[name === "gene_gradients" ? indices[0] * shape[1] + indices[1] : indices[0]];
  return Array.from(values.subarray(entry * length, (entry + 1) * length), value => value * factor);
}

const toReads = value => (run.transform === "log1p" ? Math.expm1(value) : value);
const toInput = reads => (run.transform === "log1p" ? Math.log1p(reads) : reads);

// ---- Colours
const OFF = "#0072b2";
const ON = "#d55e00";
const INK = "#1b2733";
const SOFT = "#5a6b7b";
const GREY = "#c3ccd4";
const PALE = "#e6ebef";
const SEQUENTIAL = ["#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b"];
const DIVERGING = ["#00507d", "#6aaed6", "#f7f7f7", "#f0a36b", "#a34700"];
const PUBLISHED = ["#ffffff", "#fdd0a2", "#f16913", "#a50f15"];

// The colour at fraction t (0 to 1) of a list of colours.
function mix(colours, t) {
  const position = Math.min(Math.max(t, 0), 1) * (colours.length - 1);
  const i = Math.min(Math.floor(position), colours.length - 2);
  const channel = (colour, k) => parseInt(colour.slice(1 + 2 * k, 3 + 2 * k), 16);
  const between = k => channel(colours[i], k) + (position - i) * (channel(colours[i + 1], k) - channel(colours[i], k));
  return "#" + [0, 1, 2].map(k => Math.round(between(k)).toString(16).padStart(2, "0")).join("");
}

// The colour of a cell; t runs from -1 to 1 on a diverging scale, otherwise from 0 to 1.
function colour(t, diverging) {
  if (diverging) return mix(DIVERGING, (t + 1) / 2);
  return state.style === "published" ? PUBLISHED[Math.min(3, Math.floor(Math.max(t, 0) * 4))] : mix(SEQUENTIAL, t);
}

// ---- Positions of bins along the gene
const hasPositions = run.flank !== null && run.bin_size !== null;
const order = run.orient === "strand" ? "5\u2032\u21923\u2032" : "genomic order";
const axisLabel = hasPositions ? `kb from the TSS, ${order}` : "bin";
// Pairs of fraction and label.
const axisTicks = hasPositions
  ? [-1, -0.5, 0, 0.5, 1].map(t => [(t + 1) / 2, fixed((t * run.flank) / 1000, 1)])
  : [0, 0.5, 1].map(t => [t, String(Math.round(1 + t * (bins - 1)))]);

function position(bin) {
  if (!hasPositions) return `bin ${bin + 1}`;
  const kb = edge => fixed((edge * run.bin_size - run.flank) / 1000, 1);
  return `${kb(bin)} to ${kb(bin + 1)} kb`;
}

const titleOf = e => epigenomes[e].id + (epigenomes[e].name ? ` ${epigenomes[e].name}` : "") + (epigenomes[e].held_out ? " (held out)" : "");
const isMeasured = (e, m) => !(epigenomes[e].missing_marks || []).includes(marks[m]);
// What attributions add up to.
const EFFECT = run.task === "regress" ? "standard units" : "log-odds";

