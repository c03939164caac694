"use strict";
// Draws the report from the document in #data. Names from the data are only ever set as text.
(async () => {
const doc = JSON.parse(document.getElementById("data").textContent);
const run = doc.run, marks = run.marks, bins = run.n_bins, epis = doc.epigenomes;
const $ = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const OFF = "#0072b2", ON = "#d55e00", INK = "#1b2733", SOFT = "#5a6b7b", GREY = "#c3ccd4";
const SEQUENTIAL = ["#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b"];
const DIVERGING = ["#00507d", "#6aaed6", "#f7f7f7", "#f0a36b", "#a34700"];
const PUBLISHED = ["#ffffff", "#fdd0a2", "#f16913", "#a50f15"];
const CLASSES = ["off", "on"];

// ---- Elements, numbers, arrays
function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children.filter(child => child !== null).map(child => typeof child === "number" ? String(child) : child));
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const fixed = (value, digits) => value === null || value === undefined ? "" : value.toFixed(digits).replace("-", "\u2212");
const percent = value => value === null || value === undefined ? "" : fixed(100 * value, 1);
const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length;

async function unpack() {
  const packed = Uint8Array.from(atob(doc.blob), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const kinds = { uint16: Uint16Array, int16: Int16Array, int8: Int8Array };
  const found = {};
  for (const [name, { type, shape, offset, scale }] of Object.entries(doc.arrays)) {
    const length = shape.reduce((a, b) => a * b, 1);
    found[name] = { values: new kinds[type](buffer, offset, length), shape, scale };
  }
  return found;
}
const arrays = await unpack();
// The row of bins at these indices, times the scale of its entry.
function row(name, ...index) {
  const { values, shape, scale } = arrays[name];
  let at = 0;
  index.forEach((i, axis) => { at = at * shape[axis] + i; });
  let factor = name === "pattern" ? 1 / 65535 : 1;
  if (scale) factor = scale[name === "gene_gradients" ? index[0] * shape[1] + index[1] : index[0]];
  return Array.from(values.subarray(at * bins, (at + 1) * bins), value => value * factor);
}
const toReads = value => run.transform === "log1p" ? Math.expm1(value) : value;
const toInput = reads => run.transform === "log1p" ? Math.log1p(reads) : reads;

function mix(colours, t) {
  const at = Math.min(Math.max(t, 0), 1) * (colours.length - 1), i = Math.min(Math.floor(at), colours.length - 2);
  const part = (colour, k) => parseInt(colour.slice(1 + 2 * k, 3 + 2 * k), 16);
  return "#" + [0, 1, 2].map(k => Math.round(part(colours[i], k) + (at - i) * (part(colours[i + 1], k) - part(colours[i], k)))
    .toString(16).padStart(2, "0")).join("");
}
function colour(t, diverging) {
  if (diverging) return mix(DIVERGING, (t + 1) / 2);
  return state.style === "published" ? PUBLISHED[Math.min(3, Math.floor(Math.max(t, 0) * 4))] : mix(SEQUENTIAL, t);
}
// Where a bin lies along the gene.
const known = run.flank !== null && run.bin_size !== null;
const along = known ? `kb from the TSS${run.orient === "strand" ? ", 5\u2032\u21923\u2032" : ", genomic order"}` : "bin";
function place(bin) {
  if (!known) return `bin ${bin + 1}`;
  const kb = edge => fixed((edge * run.bin_size - run.flank) / 1000, 1);
  return `${kb(bin)} to ${kb(bin + 1)} kb`;
}
const ticks = known ? [-1, -0.5, 0, 0.5, 1].map(t => [(t + 1) / 2, fixed(t * run.flank / 1000, 1)])
  : [0, 0.5, 1].map(t => [t, String(Math.round(1 + t * (bins - 1)))]);

const state = { epigenome: 0, other: -1, class: "on", source: "", style: doc.style, gene: 0, sort: "auroc", down: true };

// ---- Tooltip, figures, downloads
const tip = $("tip");
function showTip(text, x, y) {
  if (tip.textContent !== text) tip.textContent = text;
  tip.hidden = false;
  const wide = tip.offsetWidth, high = tip.offsetHeight;
  tip.style.left = `${window.scrollX + Math.min(Math.max(4, x + 14), document.documentElement.clientWidth - wide - 4)}px`;
  tip.style.top = `${window.scrollY + (y - high - 12 < 0 ? y + 18 : y - high - 12)}px`;
}
const hideTip = () => { tip.hidden = true; };
document.addEventListener("keydown", event => { if (event.key === "Escape") hideTip(); });

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: url, download: name.replace(/[^A-Za-z0-9._+-]/g, "_") }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
// A caption with its downloads, then the drawing; rows() gives the figure's data, the header first.
function figure(target, title, drawing, file, rows, scroll) {
  drawing.setAttribute("aria-label", title);
  const caption = el("figcaption", null, el("strong", null, title), el("span", null,
    el("button", { type: "button", onclick: () => save(`${file}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(drawing)), "aria-label": `Download ${title} as SVG` }, "SVG"), " ",
    el("button", { type: "button", onclick: () => save(`${file}.tsv`, "text/tab-separated-values", rows().map(cells => cells.map(cell => String(cell ?? "").replace(/[\t\r\n]/g, " ")).join("\t")).join("\n") + "\n"), "aria-label": `Download the data of ${title} as TSV` }, "TSV")));
  target.replaceChildren(caption, scroll ? el("div", { class: "scroll" }, drawing) : drawing);
}
function canvas(width, height, cssClass) {
  const drawing = svg("svg", { xmlns: SVG, viewBox: `0 0 ${width} ${height}`, role: "img", class: cssClass, "font-family": "system-ui, Arial, sans-serif", "font-size": 12, fill: INK });
  drawing.style.maxWidth = `${Math.round(1.15 * width)}px`;
  return drawing;
}
const text = (x, y, content, attributes) => svg("text", { x, y, ...attributes }, content);
const line = (x1, y1, x2, y2, attributes) => svg("line", { x1, y1, x2, y2, stroke: GREY, ...attributes });
const path = (points, attributes) => svg("path", { d: "M" + points.map(p => p.map(v => v.toFixed(1)).join(",")).join("L"), fill: "none", "stroke-width": 1.5, ...attributes });
function xAxis(drawing, left, width, y, label) {
  for (const [t, name] of ticks) {
    drawing.append(line(left + t * width, y, left + t * width, y + 4, { stroke: SOFT }),
      text(left + t * width, y + 16, name, { "text-anchor": "middle", fill: SOFT, "font-size": 11 }));
  }
  if (label) drawing.append(text(left + width / 2, y + 31, along, { "text-anchor": "middle", fill: SOFT }));
}
// Pointer and arrow keys over a grid of cells; say(r, c) gives the words for one.
function explore(drawing, box, rows, columns, say) {
  const cursor = svg("rect", { width: box.w / columns, height: box.h / rows, fill: "none", stroke: "#f0a202", "stroke-width": 2, visibility: "hidden", "pointer-events": "none" });
  const at = [0, Math.floor(columns / 2)];
  const show = () => {
    cursor.setAttribute("x", box.x + at[1] * box.w / columns);
    cursor.setAttribute("y", box.y + at[0] * box.h / rows);
    cursor.setAttribute("visibility", "visible");
    const shape = cursor.getBoundingClientRect();
    showTip(say(...at), shape.x + shape.width / 2, shape.y);
  };
  const leave = () => { cursor.setAttribute("visibility", "hidden"); hideTip(); };
  const follow = event => {
    const own = drawing.getBoundingClientRect(), view = drawing.viewBox.baseVal;
    const x = (event.clientX - own.x) / own.width * view.width - box.x, y = (event.clientY - own.y) / own.height * view.height - box.y;
    if (x < 0 || y < 0 || x >= box.w || y >= box.h) return leave();
    at[0] = Math.floor(y / box.h * rows); at[1] = Math.floor(x / box.w * columns);
    show();
  };
  fill(drawing, { tabindex: 0, onpointermove: follow, onpointerdown: follow, onpointerleave: leave, onblur: leave, onkeydown: event => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    at[0] = (at[0] + step[0] + rows) % rows; at[1] = (at[1] + step[1] + columns) % columns;
    show();
  } }, [cursor]);
}

// ---- Maps
const SOURCES = {
  pattern: "optimized pattern", observed: "observed reads", gradients: "integrated gradients", attention: "attention",
};
const EXPLAIN = {
  pattern: () => doc.data_prior ? "The most typical input that the model calls this class. Colours: the model's input over the largest of the epigenome's two maps."
    : "The input that the model scores highest under an L2 penalty, from 0 to 1.",
  observed: () => "The mean reads per bin over all genes of this class: data, no model. Colours are on the scale of the model's input.",
  gradients: () => "What each bin adds to the log-odds of \u201con\u201d, averaged over test genes of this class; orange speaks for on, blue for off.",
  attention: () => "Where the model looks: attention over the bins of each mark, averaged over test genes of this class.",
};
// Cells of one map: colour fraction t, and words.
function cells(e, kind, source) {
  const pick = c => marks.map((_, m) => source === "observed" ? row("observed", e, c, 0, m) : row(source, e, c, m));
  const shown = source === "observed" ? rows => rows.map(one => one.map(toInput)) : rows => rows;
  const both = [shown(pick(0)), shown(pick(1))], raw = kind === "difference" ? null : pick(CLASSES.indexOf(kind));
  const values = kind === "difference" ? both[1].map((one, m) => one.map((value, b) => value - both[0][m][b])) : both[CLASSES.indexOf(kind)];
  const diverging = kind === "difference" || source === "gradients";
  const pool = kind === "difference" ? values.flat() : both.flat(2);
  const top = source === "pattern" && kind !== "difference" ? 1 : Math.max(...pool.map(Math.abs)) || 1;
  const scale = epis[e].scale;
  const say = (m, b) => {
    const v = values[m][b];
    if (kind === "difference") return `on \u2212 off: ${fixed(v, 3)}`;
    if (source === "pattern") return `value ${fixed(v, 3)}` + (scale ? `, ${fixed(toReads(v * scale), 2)} reads` : "");
    if (source === "observed") return `${fixed(raw[m][b], 2)} reads`;
    return source === "gradients" ? `log-odds ${fixed(v, 4)}` : `weight ${fixed(v, 4)}`;
  };
  return { t: values.map(one => one.map(v => v / top)), values, diverging, top, say };
}
function drawMap(target, e, kind) {
  const map = cells(e, kind, state.source);
  const left = 82, width = 400, right = 128, h = 30, top = 8, height = h * marks.length, w = width / bins;
  const drawing = canvas(left + width + right, height + top + 66, "map");
  marks.forEach((mark, m) => {
    drawing.append(text(left - 8, top + m * h + h / 2 + 4, mark, { "text-anchor": "end" }));
    const group = svg("g", { "shape-rendering": "crispEdges" });
    map.t[m].forEach((t, b) => group.append(svg("rect", { x: (left + b * w).toFixed(2), y: top + m * h, width: (w + 0.3).toFixed(2), height: h - 2, fill: colour(t, map.diverging) })));
    drawing.append(group);
    const average = mean(map.values[m]), widest = Math.max(...map.values.map(one => Math.abs(mean(one)))) || 1;
    const bar = Math.abs(average) / widest * 56;
    drawing.append(svg("rect", { x: left + width + 12, y: top + m * h + 6, width: bar.toFixed(1), height: h - 14, fill: map.diverging ? (average < 0 ? OFF : ON) : "#2171b5" }),
      text(left + width + 16 + bar, top + m * h + h / 2 + 4, fixed(average, 2) + (!map.diverging && state.source === "pattern" ? ` (${map.values[m].filter(v => v > 0.25).length})` : ""), { fill: SOFT, "font-size": 11 }));
  });
  if (known) drawing.append(line(left + width / 2, top, left + width / 2, top + height - 2, { stroke: "#444", "stroke-dasharray": "2 3" }));
  drawing.append(svg("rect", { x: left, y: top, width, height: height - 2, fill: "none", stroke: GREY }));
  xAxis(drawing, left, width, top + height, true);
  drawing.append(text(left + width + 12, top + height + 16, state.source === "pattern" && !map.diverging ? "mean (active bins)" : "mean", { fill: SOFT, "font-size": 11 }));
  const y = top + height + 42, n = 48;
  for (let i = 0; i < n; i++) {
    const t = (i + 0.5) / n;
    drawing.append(svg("rect", { x: left + i * 3, y, width: 3.3, height: 8, fill: colour(map.diverging ? 2 * t - 1 : t, map.diverging) }));
  }
  const scale = state.source === "pattern" ? epis[e].scale : 1;
  const reads = kind !== "difference" && scale && (state.source === "pattern" || state.source === "observed");
  const name = reads ? value => `${fixed(toReads(value * scale), 1)} reads` : value => fixed(value, Math.abs(value) < 0.1 ? 3 : 2);
  drawing.append(text(left - 8, y + 8, map.diverging ? fixed(-map.top, 2) : "0", { "text-anchor": "end", fill: SOFT, "font-size": 11 }),
    text(left + n * 3 + 6, y + 8, name(map.top), { fill: SOFT, "font-size": 11 }));
  explore(drawing, { x: left, y: top, w: width, h: height }, marks.length, bins, (m, b) => `${marks[m]}, ${place(b)}\n${map.say(m, b)}`);
  const title = `${title_of(e)}: genes ${kind === "difference" ? "on \u2212 off" : kind}, ${SOURCES[state.source]}`;
  figure(target, title, drawing, `${epis[e].id}_${kind}_${state.source}`, () =>
    [["epigenome", "class", "mark", "bin", "value"], ...marks.flatMap((mark, m) => map.values[m].map((v, b) => [epis[e].id, kind, mark, b + 1, +v.toPrecision(5)]))]);
}
function attended() {
  const weights = epis[state.epigenome].mark_attention;
  if (state.source !== "attention" || !weights) return "";
  return ` Over marks, in ${CLASSES.map((name, c) => `genes ${name}: ${marks.map((mark, m) => `${mark} ${fixed(weights[c][m], 2)}`).join(", ")}`).join("; ")}.`;
}
const title_of = e => epis[e].name ? `${epis[e].id} ${epis[e].name}` : epis[e].id;
function drawMaps() {
  const pair = $("pair");
  if (!state.source) return;
  $("explain").textContent = state.class === "difference" ? "Genes on minus genes off: orange where on has more, blue where off has more." : EXPLAIN[state.source]() + attended();
  const second = state.other >= 0 ? [state.other, state.class] : state.class === "difference" ? null : [state.epigenome, state.class === "on" ? "off" : "on"];
  pair.replaceChildren(...[[state.epigenome, state.class], second].filter(one => one).map(([e, kind]) => { const one = el("figure"); drawMap(one, e, kind); return one; }));
}

// ---- Profiles: observed means with the middle half of the genes, optimized patterns dashed
function drawProfiles() {
  const e = state.epigenome, has = "observed" in arrays, target = $("profile");
  if (!has) { $("profiles").hidden = true; return; }
  const dashed = "pattern" in arrays && epis[e].scale, w = 196, h = 128, gap = 26;
  const drawing = canvas(marks.length * (w + gap) + 14, h + 66, "wide");
  const rho = epis[e].correlation;
  const lines = marks.map((_, m) => CLASSES.map((_, c) => ({
    mean: row("observed", e, c, 0, m), low: row("observed", e, c, 1, m), high: row("observed", e, c, 2, m),
    made: dashed ? row("pattern", e, c, m).map(v => toReads(v * epis[e].scale)) : null })));
  marks.forEach((mark, m) => {
    const x0 = 30 + m * (w + gap), y0 = 24, top = Math.max(0.01, ...lines[m].flatMap(one => [...one.mean, ...one.high, ...(one.made || [])]));
    const x = b => x0 + (b + 0.5) / bins * (w - 10), y = v => y0 + h * (1 - v / top);
    drawing.append(text(x0, 14, mark, { "font-weight": 600 }));
    if (rho) drawing.append(text(x0 + w - 10, 14, `\u03c1 off ${fixed(rho[0][m], 2)}, on ${fixed(rho[1][m], 2)}`, { "text-anchor": "end", fill: SOFT, "font-size": 11 }));
    drawing.append(line(x0, y0 + h, x0 + w - 10, y0 + h), text(x0 - 4, y0 + 8, fixed(top, top < 10 ? 1 : 0), { "text-anchor": "end", fill: SOFT, "font-size": 10 }), text(x0 - 4, y0 + h, "0", { "text-anchor": "end", fill: SOFT, "font-size": 10 }));
    [OFF, ON].forEach((paint, c) => {
      const own = lines[m][c];
      drawing.append(path([...own.high.map((v, b) => [x(b), y(v)]), ...own.low.map((v, b) => [x(b), y(v)]).reverse()], { fill: paint, "fill-opacity": 0.15 }),
        path(own.mean.map((v, b) => [x(b), y(v)]), { stroke: paint }));
      if (own.made) drawing.append(path(own.made.map((v, b) => [x(b), y(v)]), { stroke: paint, "stroke-dasharray": "4 3" }));
    });
    xAxis(drawing, x0, w - 10, y0 + h, m === Math.floor(marks.length / 2));
  });
  $("profiles-text").textContent = `Reads per bin in ${title_of(e)}: orange the ${epis[e].observed_genes[1]} genes that are on, blue the ${epis[e].observed_genes[0]} that are off. Solid: mean of the genes, shaded the middle half of them. ` + (dashed ? "Dashed: the optimized patterns. " : "") + (rho ? "\u03c1: rank correlation of optimized and observed." : "");
  figure(target, `${title_of(e)}: observed and optimized`, drawing, `${epis[e].id}_observed`, () =>
    [["mark", "bin", "class", "mean", "low", "high", "optimized"], ...marks.flatMap((mark, m) => CLASSES.flatMap((name, c) => lines[m][c].mean.map((v, b) => [mark, b + 1, name, ...[v, lines[m][c].low[b], lines[m][c].high[b]].map(n => +n.toPrecision(5)), lines[m][c].made ? +lines[m][c].made[b].toPrecision(5) : ""])))], true);
}

// ---- Table and bars
const COLUMNS = [["id", "id"], ["name", "name"], ["auroc", "AUROC"], ["auroc_low", "95 % interval"], ["auprc", "AUPRC"], ["published", "published AUROC"], ["flipped", "flipped labels %"], ["genes", "test genes"], ["best_epoch", "best epoch"]];
function ordered() {
  const wanted = $("filter").value.trim().toLowerCase(), sign = state.down ? -1 : 1, key = state.sort;
  const list = epis.map((_, i) => i).filter(i => `${epis[i].id} ${epis[i].name}`.toLowerCase().includes(wanted));
  return list.sort((a, b) => {
    const x = epis[a][key], y = epis[b][key];
    if (x === y) return a - b;
    if (x === null || x === undefined) return 1;
    if (y === null || y === undefined) return -1;
    return (x < y ? -1 : 1) * sign;
  });
}
function cell(key, own, i) {
  if (key === "id") return el("button", { type: "button", title: "Show its maps", onclick: () => { choose(i); $("maps").scrollIntoView(); } }, own.id);
  if (key === "auroc_low") return own.auroc_low === null || own.auroc_low === undefined ? "" : `${fixed(own.auroc_low, 3)}\u2013${fixed(own.auroc_high, 3)}`;
  if (key === "flipped") return percent(own.flipped);
  if (key === "auroc" || key === "auprc") return fixed(own[key], 3);
  if (key === "published") return fixed(own[key], 2);
  return String(own[key] ?? "");
}
function drawTable() {
  const list = ordered();
  const head = el("tr", null, ...COLUMNS.map(([key, name]) => el("th", { scope: "col", "aria-sort": state.sort !== key ? "none" : state.down ? "descending" : "ascending" },
    el("button", { type: "button", onclick: () => { state.down = state.sort === key ? !state.down : !["id", "name"].includes(key); state.sort = key; drawTable(); $("table").querySelector(`th:nth-child(${1 + COLUMNS.findIndex(c => c[0] === key)}) button`).focus(); } }, name))));
  $("table").replaceChildren(el("thead", null, head), el("tbody", null, ...list.map(i => el("tr", { class: i === state.epigenome ? "chosen" : null, title: epis[i].note || null }, ...COLUMNS.map(([key]) => el("td", null, cell(key, epis[i], i)))))));
  $("shown").textContent = `${list.length} of ${epis.length}`;
}
function drawBars() {
  const list = epis.map((_, i) => i).filter(i => typeof epis[i].auroc === "number").sort((a, b) => epis[b].auroc - epis[a].auroc);
  if (!list.length) return;
  const left = 40, step = Math.min(60, 1060 / list.length), width = Math.max(420, left + step * list.length + 10), h = 190, y0 = 26;
  const low = Math.min(0.5, ...list.map(i => epis[i].auroc_low ?? epis[i].auroc)), y = v => y0 + h * (1 - (v - low) / (1 - low));
  const drawing = canvas(width, h + 82, list.length > 12 ? "wide" : "");
  for (let v = Math.ceil(low * 10) / 10; v <= 1.001; v += 0.1) drawing.append(line(left, y(v), width - 6, y(v), { stroke: "#e6ebef" }), text(left - 6, y(v) + 4, fixed(v, 1), { "text-anchor": "end", fill: SOFT, "font-size": 11 }));
  list.forEach((i, k) => {
    const own = epis[i], x = left + k * step, mid = x + step / 2;
    const group = svg("g", { class: "bar" }, svg("rect", { x: x + step * 0.14, y: y(own.auroc), width: step * 0.72, height: y(low) - y(own.auroc), fill: i === state.epigenome ? "#08519c" : "#8fbfe0" }));
    if (own.auroc_low !== null && own.auroc_low !== undefined) group.append(line(mid, y(own.auroc_low), mid, y(own.auroc_high), { stroke: INK }));
    if (own.published !== null) group.append(svg("path", { d: `M${mid},${y(own.published) - 4}l4,4l-4,4l-4,-4z`, fill: ON, stroke: "#fff" }));
    group.append(text(0, 0, own.id, { transform: `translate(${mid + 4},${y(low) + 8}) rotate(-90)`, "text-anchor": "end", "font-size": 10, fill: i === state.epigenome ? INK : SOFT }), svg("rect", { x, y: y0, width: step, height: h + 40, fill: "transparent" }));
    const words = `${title_of(i)}\nAUROC ${fixed(own.auroc, 3)}` + (own.published === null ? "" : `, published ${fixed(own.published, 2)}`);
    fill(group, { onpointermove: event => showTip(words, event.clientX, event.clientY), onpointerleave: hideTip, onclick: () => choose(i) }, []);
    drawing.append(group);
  });
  drawing.append(svg("rect", { x: left + 4, y: 6, width: 10, height: 10, fill: "#8fbfe0" }), text(left + 20, 15, "this run, with 95 % interval"));
  if (list.some(i => epis[i].published !== null)) drawing.append(svg("path", { d: `M${left + 206},6l5,5l-5,5l-5,-5z`, fill: ON }), text(left + 218, 15, "published in 2016 (on its own labels)"));
  figure($("bars"), "Test AUROC, sorted", drawing, "auroc", () => [["epigenome", "auroc", "low", "high", "published"], ...list.map(i => [epis[i].id, epis[i].auroc, epis[i].auroc_low, epis[i].auroc_high, epis[i].published])], true);
}

// ---- ROC and training
function frame(width, height, box, xTicks, yTicks, xName, yName) {
  const drawing = canvas(width, height);
  for (const [t, name] of yTicks) drawing.append(line(box.x, box.y + box.h * (1 - t), box.x + box.w, box.y + box.h * (1 - t), { stroke: "#e6ebef" }), text(box.x - 6, box.y + box.h * (1 - t) + 4, name, { "text-anchor": "end", fill: SOFT, "font-size": 11 }));
  for (const [t, name] of xTicks) drawing.append(text(box.x + box.w * t, box.y + box.h + 16, name, { "text-anchor": "middle", fill: SOFT, "font-size": 11 }));
  drawing.append(text(box.x + box.w / 2, box.y + box.h + 32, xName, { "text-anchor": "middle", fill: SOFT }), text(box.x, box.y - 8, yName, { fill: SOFT }));
  return drawing;
}
const unit = [0, 0.25, 0.5, 0.75, 1].map(t => [t, String(t)]);
function drawRoc() {
  const box = { x: 44, y: 26, w: 400, h: 270 }, drawing = frame(460, 340, box, unit, unit, "false positive rate", "true positive rate");
  const curve = (id, attributes) => doc.roc[id] && drawing.append(path([[box.x, box.y + box.h], ...doc.roc[id].map((v, i, all) => [box.x + i / (all.length - 1) * box.w, box.y + box.h * (1 - v)])], attributes));
  drawing.append(line(box.x, box.y + box.h, box.x + box.w, box.y, { "stroke-dasharray": "3 4" }));
  epis.forEach((own, i) => i !== state.epigenome && curve(own.id, { stroke: GREY, "stroke-width": 0.8 }));
  const named = [[state.other, ON, 40], [state.epigenome, OFF, 22]].filter(([i]) => i >= 0);
  for (const [i, paint, y] of named) {
    curve(epis[i].id, { stroke: paint, "stroke-width": 2.5 });
    drawing.append(text(box.x + box.w - 4, box.y + box.h - y + 10, `${epis[i].id}: ${fixed(epis[i].auroc, 3)}`, { "text-anchor": "end", fill: paint, "font-weight": 600 }));
  }
  figure($("roc"), "ROC curves on test genes", drawing, "roc", () => [["epigenome", "false_positive_rate", "true_positive_rate"], ...Object.entries(doc.roc).flatMap(([id, rates]) => rates.map((v, i) => [id, i / (rates.length - 1), v]))]);
}
function drawTraining() {
  const own = epis[state.epigenome], curves = doc.curves[own.id], target = $("training");
  if (!curves || !curves.train_loss.length) { target.replaceChildren(el("p", null, "A model without epochs has no training curve.")); return; }
  const n = curves.train_loss.length, top = Math.max(1, ...curves.train_loss, ...curves.valid_loss.filter(v => v !== null && v < 3));
  const box = { x: 44, y: 26, w: 400, h: 270 };
  const drawing = frame(460, 340, box, [[0, "1"], [1, String(n)]], [0, 0.25, 0.5, 0.75, 1].map(t => [t, fixed(t * top, 2)]), "epoch", "");
  const x = i => box.x + (n > 1 ? i / (n - 1) : 0.5) * box.w, y = v => box.y + box.h * (1 - Math.min(v, top) / top);
  [["train_loss", "training loss", OFF], ["valid_loss", "validation loss", ON], ["valid_auroc", "validation AUROC", "#007a5a"]].forEach(([key, name, paint], k) => {
    drawing.append(path(curves[key].map((v, i) => [x(i), y(v)]).filter(p => Number.isFinite(p[1])), { stroke: paint }), text(box.x + box.w - 4 - 125 * (2 - k), box.y - 8, name, { "text-anchor": "end", fill: paint, "font-weight": 600 }));
  });
  if (own.best_epoch) drawing.append(line(x(own.best_epoch - 1), box.y, x(own.best_epoch - 1), box.y + box.h, { stroke: SOFT, "stroke-dasharray": "2 3" }), text(x(own.best_epoch - 1) + 4, box.y + 12, `kept: epoch ${own.best_epoch}`, { fill: SOFT, "font-size": 11 }));
  figure(target, `${own.id}: training`, drawing, `${own.id}_training`, () => [["epoch", "train_loss", "valid_loss", "valid_auroc"], ...curves.train_loss.map((v, i) => [i + 1, v, curves.valid_loss[i], curves.valid_auroc[i]])]);
}

// ---- Genes
const genes = doc.genes;
const label = g => genes.symbol[g] ? `${genes.symbol[g]} (${genes.id[g]})` : genes.id[g];
function findGene(typed) {
  const wanted = typed.trim().toLowerCase();
  if (!wanted) return -1;
  const names = genes.id.map((id, g) => [genes.symbol[g].toLowerCase(), id.toLowerCase(), label(g).toLowerCase()]);
  const exact = names.findIndex(all => all.includes(wanted));
  return exact >= 0 ? exact : names.findIndex(all => all[0].startsWith(wanted) || all[1].startsWith(wanted));
}
function drawGene() {
  const e = state.epigenome, g = state.gene, left = 82, width = 720, h = 52, top = 8, right = 170;
  const has = "gene_gradients" in arrays, drawing = canvas(left + width + right, top + h * marks.length + 40, "wide gene");
  const tracks = marks.map((_, m) => row("tracks", e, g, m)), drive = marks.map((_, m) => has ? row("gene_gradients", e, g, m) : Array(bins).fill(0));
  const strongest = Math.max(...drive.flat().map(Math.abs)) || 1, sums = drive.map(own => own.reduce((a, b) => a + b, 0)), widest = Math.max(...sums.map(Math.abs)) || 1;
  marks.forEach((mark, m) => {
    const y0 = top + m * h, high = Math.max(4, ...tracks[m]);
    drawing.append(text(left - 8, y0 + h / 2 + 4, mark, { "text-anchor": "end" }), text(left + 3, y0 + 11, `0\u2013${high}`, { fill: SOFT, "font-size": 10 }), line(left, y0 + h - 6, left + width, y0 + h - 6));
    tracks[m].forEach((count, b) => {
      const tall = count / high * (h - 14);
      if (tall > 0) drawing.append(svg("rect", { x: (left + b * width / bins).toFixed(1), y: (y0 + h - 6 - tall).toFixed(1), width: (width / bins - 0.6).toFixed(1), height: tall.toFixed(1), fill: has ? mix(["#00507d", "#6aaed6", "#aab4bd", "#f0a36b", "#a34700"], (Math.sign(drive[m][b]) * Math.sqrt(Math.abs(drive[m][b]) / strongest) + 1) / 2) : SOFT }));
    });
    if (has) {
      const bar = Math.abs(sums[m]) / widest * 50, zero = left + width + 66;
      drawing.append(svg("rect", { x: sums[m] < 0 ? zero - bar : zero, y: y0 + 14, width: bar, height: h - 30, fill: sums[m] < 0 ? OFF : ON }), text(left + width + right - 2, y0 + h / 2 + 4, fixed(sums[m], 2), { "text-anchor": "end", fill: SOFT, "font-size": 11 }));
    }
  });
  if (has) drawing.append(text(left + width + 66, top + h * marks.length + 12, "log-odds", { "text-anchor": "middle", fill: SOFT, "font-size": 11 }));
  xAxis(drawing, left, width, top + h * marks.length - 6, false);
  drawing.append(text(left + width / 2, top + h * marks.length + 30, along, { "text-anchor": "middle", fill: SOFT }));
  explore(drawing, { x: left, y: top, w: width, h: h * marks.length }, marks.length, bins, (m, b) => `${marks[m]}, ${place(b)}\n${tracks[m][b]} reads` + (has ? `, log-odds ${fixed(drive[m][b], 4)}` : ""));
  const by = marks.map((_, m) => m).sort((a, b) => Math.abs(sums[b]) - Math.abs(sums[a]))[0];
  $("gene-text").textContent = `${label(g)} in ${title_of(e)}: score ${fixed(genes.score[e][g], 3)}; labelled ${CLASSES[genes.on[e][g]]}; a ${genes.part[g]} gene.` + (has ? ` ${marks[by]} moved the score most, ${sums[by] < 0 ? "towards off" : "towards on"}. Bars: reads per bin; orange speaks for on, blue for off.` : "");
  $("gene-status").textContent = `${g + 1} of ${genes.id.length} genes in this report`;
  figure($("track"), `${label(g)} in ${title_of(e)}`, drawing, `${genes.id[g]}_${epis[e].id}`, () => [["gene_id", "mark", "bin", "reads", "log_odds"], ...marks.flatMap((mark, m) => tracks[m].map((count, b) => [genes.id[g], mark, b + 1, count, +drive[m][b].toPrecision(4)]))], true);
}

// ---- Start
function options(id, list, chosen) {
  $(id).replaceChildren(...list.map(([value, name]) => { const one = el("option", { value }, name); one.selected = value === chosen; return one; }));
}
function choose(i) {
  state.epigenome = i;
  $("epigenome").value = String(i);
  drawTable(); drawBars(); drawMaps(); drawProfiles(); drawRoc(); drawTraining();
  if (genes) drawGene();
}
function start() {
  const areas = epis.map(own => own.auroc).filter(v => typeof v === "number");
  $("about").textContent = `${run.model} models, ${run.split || "given"} split, ${run.label_rule || "given"} labels, ${run.transform} input${run.orient === "strand" ? ", bins 5\u2032\u21923\u2032 along the gene" : ""}. Made with deepchrome ${run.made_with.deepchrome || ""}.`;
  const tiles = [[epis.length, epis.length === 1 ? "epigenome" : "epigenomes"], [areas.length ? fixed(mean(areas), 3) : "", "mean test AUROC"], [marks.length, "marks"], [epis[0].genes ?? "", "test genes"]];
  const published = epis.filter(own => own.published !== null && typeof own.auroc === "number");
  if (published.length) tiles.push([fixed(mean(published.map(own => own.published)), 3), `published mean of ${published.length}`]);
  $("tiles").append(...tiles.map(([value, name]) => el("div", { class: "tile" }, el("b", null, value), el("span", null, name))));
  const sources = Object.entries(SOURCES).filter(([name]) => name in arrays);
  state.source = sources.length ? sources[0][0] : "";
  const names = epis.map((_, i) => [String(i), title_of(i)]);
  options("epigenome", names, "0"); options("other", [["-1", "its other class"], ...names], "-1");
  options("class", [["on", "on"], ["off", "off"], ["difference", "on \u2212 off"]], "on");
  options("source", sources, state.source); options("style", [["default", "default"], ["published", "as published, four levels"]], state.style);
  $("epigenome").addEventListener("change", event => choose(+event.target.value));
  for (const id of ["other", "class", "source", "style"]) $(id).addEventListener("change", event => { state[id] = id === "other" ? +event.target.value : event.target.value; drawMaps(); drawRoc(); });
  $("filter").addEventListener("input", drawTable);
  if (!sources.length) $("maps").hidden = true;
  if (genes && genes.id.length) {
    $("gene-list").append(...genes.id.map((_, g) => el("option", { value: label(g) })));
    const show = g => { state.gene = (g + genes.id.length) % genes.id.length; drawGene(); };
    $("gene").addEventListener("change", event => {
      const g = findGene(event.target.value);
      if (g >= 0) show(g); else $("gene-status").textContent = "not in this report; dc visualize --gene puts it in";
    });
    $("previous").addEventListener("click", () => show(state.gene - 1));
    $("next").addEventListener("click", () => show(state.gene + 1));
    show(genes.id.length - 1);
  } else $("genes").hidden = true;
  const recipe = doc.recipe, list = [];
  if (recipe) list.push(recipe.name === "published" ? `Pattern maps: the 2016 recipe: a uniform start, RMSprop at ${recipe.lr} for ${recipe.steps} steps, negative log-likelihood plus ${recipe.penalty} times the squared norm, clamped to 0 to 1, over the maximum${recipe.starts > 1 ? `, the mean of ${recipe.starts} starts` : ""}.`
    : `Pattern maps: the mean of ${recipe.starts} starts, RMSprop for ${recipe.steps} steps, negative log-likelihood plus ${recipe.penalty} times the squared distance ${doc.data_prior ? "from the average training gene along the principal axes of the training genes" : "from zero (no data were at hand)"}. Bins above 0.25 are called active.`);
  if ("gradients" in arrays) list.push("Integrated gradients: from a gene without reads, 32 points; over up to 100 test genes a class." + (epis.every(own => own.complete !== false) ? " They add up to the change of the score (mean gap within 2 %)." : " In some epigenomes they do not add up to the change of the score within 2 %: read them with care."));
  list.push("AUROC intervals: 1,000 bootstrap resamples of the test genes. Flipped labels: genes on which the published comparison of numbers as text and the numeric rule disagree. Published AUROC: Singh et al. 2016, on the labels of that rule.");
  if (genes) list.push("The gene view holds test genes spread evenly from the lowest to the highest score, and those asked for with --gene.");
  $("method-list").append(...list.map(item => el("li", null, item)));
  choose(0);
  document.body.dataset.ready = "yes";
}
start();
})();
