// How well the models do on test genes: yardsticks, calibration, and the matrix of models and epigenomes.

// ---- Sections that a report does not have
// Leave the heading and the reason, where there is one. Return whether the section is missing.
function explainAbsence(section, name) {
  const reason = doc.absent[name];
  if (!reason) return false;
  for (const part of [...$(section).children].slice(1)) part.hidden = true;
  $(section).append(el("p", null, reason));
  return true;
}

// ---- Yardsticks
const GREEN = "#007a5a";
const YARDSTICKS = [
  ["auroc", "model", OFF, "circle"],
  ["gene_mean_auroc", "gene mean", ON, "diamond"],
  ["nearest_auroc", "nearest epigenome", GREEN, "square"],
  ["fused_auroc", "model + gene mean", INK, "bar"],
];
const VARIABLE_YARDSTICKS = [
  ["variable_auroc", "model", OFF, "circle"],
  ["variable_gene_mean_auroc", "gene mean", ON, "diamond"],
  ["variable_nearest_auroc", "nearest epigenome", GREEN, "square"],
];

function marker(shape, x, y, stroke) {
  const shapes = {
    circle: "m-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z",
    diamond: "m0,-5l5,5l-5,5l-5,-5z",
    square: "m-4,-4h8v8h-8z",
    bar: "m-1.2,-7h2.4v14h-2.4z",
  };
  return svg("path", { d: `M${x.toFixed(1)},${y.toFixed(1)}${shapes[shape]}`, fill: stroke, "fill-opacity": 0.85, stroke: "#fff", "stroke-width": 0.7 });
}

function drawYardsticks() {
  if (doc.absent.yardsticks) return;
  const hasVariable = epigenomes.some(epigenome => !isMissing(epigenome.variable_auroc));
  const targets = [el("figure"), hasVariable ? el("figure") : el("p", null, "Variable genes are found with five other epigenomes or more in the expression table.")];
  drawDots(targets[0], "All test genes", YARDSTICKS, "yardsticks");
  if (hasVariable) drawDots(targets[1], "Variable genes", VARIABLE_YARDSTICKS, "yardsticks_variable");
  $("yardstick-figures").replaceChildren(...targets);
  drawYardstickTable();
}

// One row per epigenome, sorted by the first measure, with one marker per measure.
function drawDots(target, title, measures, file) {
  const [[first]] = measures;
  const listed = [...epigenomes.keys()].filter(e => !isMissing(epigenomes[e][first])).sort((a, b) => epigenomes[b][first] - epigenomes[a][first]);
  const values = listed.flatMap(e => measures.map(([key]) => epigenomes[e][key])).filter(value => !isMissing(value));
  const low = Math.floor(20 * Math.min(...values) - 0.2) / 20, high = Math.min(1, Math.ceil(20 * Math.max(...values) + 0.1) / 20);
  const left = 58, width = 386, top = 34, step = listed.length > 20 ? 17 : 25, height = step * listed.length;
  const x = value => left + ((value - low) / (high - low)) * width;
  const drawing = canvas(460, top + height + 40);
  // Where the figure must be scrolled, the ticks are above it.
  const tickY = listed.length > 20 ? top - 1 : top + height + 16;
  const gap = high - low > 0.3 ? 0.1 : high - low > 0.12 ? 0.05 : 0.02;
  for (let value = Math.ceil(low / gap - 1e-6) * gap; value <= high + 1e-6; value += gap) {
    drawing.append(line(x(value), top, x(value), top + height, { stroke: PALE }), text(x(value), tickY, fixed(value, 2), { ...CENTRED, ...SMALL }));
  }
  drawing.append(text(left + width / 2, top + height + 33, "test AUROC", { ...CENTRED, fill: SOFT }));
  let place = left;
  for (const [key, name, stroke, shape] of measures) {
    if (listed.every(e => isMissing(epigenomes[e][key]))) continue;
    drawing.append(marker(shape, place + 5, 14, stroke), text(place + 14, 18, name, SMALL));
    place += 26 + 6.1 * name.length;
  }
  listed.forEach((e, i) => {
    const epigenome = epigenomes[e], y = top + (i + 0.5) * step, isChosen = e === state.epigenome;
    const shown = measures.filter(([key]) => !isMissing(epigenome[key]));
    const places = shown.map(([key]) => x(epigenome[key]));
    const content = [titleOf(e), ...shown.map(([key, name]) => `${key.endsWith("nearest_auroc") ? `${name} (${epigenome.nearest})` : name} ${fixed(epigenome[key], 3)}`)].join("\n");
    drawing.append(svg("g", {
      class: "bar",
      onpointermove: event => showTip(content, event.clientX, event.clientY),
      onpointerleave: hideTip,
      onclick: () => choose(e),
    },
    text(left - 8, y + 4, epigenome.id + (epigenome.held_out ? "*" : ""), { ...RIGHT, "font-size": 11, "font-weight": isChosen ? 700 : 400 }),
    line(Math.min(...places), y, Math.max(...places), y, { "stroke-width": 1.5 }),
    ...shown.map(([key, , stroke, shape]) => marker(shape, x(epigenome[key]), y, stroke)).reverse(),
    rect(0, y - step / 2, 460, step, { fill: "transparent" })));
  });
  const note = listed.some(e => epigenomes[e].held_out) ? " (* held out)" : "";
  figure(target, title + note, drawing, file, () => [
    ["epigenome", ...measures.map(([key]) => key)],
    ...listed.map(e => [epigenomes[e].id, ...measures.map(([key]) => epigenomes[e][key])]),
  ]);
}

function drawYardstickTable() {
  const columns = [["id", "epigenome"], ["auroc", "model"], ["gene_mean_auroc", "gene mean"], ["nearest_auroc", "nearest epigenome"],
    ["fused_auroc", "model + gene mean"], ["variable_genes", "variable genes"], ["variable_auroc", "model on them"],
    ["variable_gene_mean_auroc", "gene mean on them"]].filter(([key]) => epigenomes.some(epigenome => !isMissing(epigenome[key])));
  const cell = (key, epigenome) => {
    if (key === "id") return epigenome.id + (epigenome.held_out ? " (held out)" : "");
    if (key === "variable_genes") return String(epigenome[key] ?? "");
    return key === "nearest_auroc" && epigenome.nearest ? `${fixed(epigenome[key], 3)} (${epigenome.nearest})` : fixed(epigenome[key], 3);
  };
  $("yardstick-table").replaceChildren(
    el("thead", null, el("tr", null, ...columns.map(([, name]) => el("th", { scope: "col" }, name)))),
    el("tbody", null, ...epigenomes.map((epigenome, e) => el("tr", { class: e === state.epigenome ? "chosen" : null },
      ...columns.map(([key]) => el("td", null, cell(key, epigenome)))))),
  );
}

// ---- Calibration
function drawCalibration() {
  const epigenome = epigenomes[state.epigenome], curve = doc.calibration[epigenome.id];
  if (!curve) {
    $("calibration").replaceChildren(el("p", null, "The scores of this model are not probabilities, so it has no calibration curve."));
    return;
  }
  const box = CHART_BOX, bottom = box.y + box.h, most = Math.max(...curve.genes), n = curve.genes.length;
  const ticks = QUARTERS.map(t => [t, String(t)]);
  const drawing = chart(460, 340, box, ticks, ticks, "score", "fraction of genes that are on");
  curve.genes.forEach((genes, i) => {
    const bar = (genes / most) * 60;
    drawing.append(rect(box.x + ((i + 0.1) * box.w) / n, bottom - bar, (0.8 * box.w) / n, bar, { fill: PALE }));
  });
  const known = [...curve.genes.keys()].filter(i => curve.genes[i] > 0);
  const points = known.map(i => [box.x + curve.mean_score[i] * box.w, bottom - curve.fraction_on[i] * box.h]);
  drawing.append(line(box.x, bottom, box.x + box.w, box.y, { "stroke-dasharray": "3 4" }), path(points, { stroke: OFF }));
  points.forEach(([x, y], k) => {
    const i = known[k];
    const content = `${curve.genes[i]} genes\nmean score ${fixed(curve.mean_score[i], 3)}\non ${fixed(curve.fraction_on[i], 3)}`;
    drawing.append(svg("circle", {
      cx: x, cy: y, r: 5, fill: OFF, stroke: "#fff",
      onpointermove: event => showTip(content, event.clientX, event.clientY), onpointerleave: hideTip,
    }));
  });
  drawing.append(
    text(box.x + 8, box.y + 16, `calibration error ${fixed(epigenome.ece, 3)}`, { "font-weight": 600 }),
    text(box.x + 8, box.y + 33, `Brier score ${fixed(epigenome.brier, 3)}`),
    text(box.x + box.w, box.y - 8, `bars: genes, at most ${most}`, { ...RIGHT, ...SMALL }),
  );
  figure($("calibration"), `${epigenome.id}: calibration of the scores`, drawing, `${epigenome.id}_calibration`, () => [
    ["genes", "mean_score", "fraction_on"], ...curve.genes.map((genes, i) => [genes, curve.mean_score[i], curve.fraction_on[i]]),
  ]);
}

// ---- Every model on every epigenome
function drawTransfer() {
  if (!doc.transfer) return;
  const { models, genes: n, auroc } = doc.transfer;
  const known = auroc.flat().filter(value => value !== null);
  const low = Math.min(...known), high = Math.max(...known);
  const withNumbers = epigenomes.length <= 14, size = withNumbers ? 54 : 17, rowHeight = withNumbers ? 32 : 15;
  const left = 70, top = 8, width = size * epigenomes.length, height = rowHeight * models.length;
  const drawing = canvas(Math.max(420, left + width + 20), top + height + 108, epigenomes.length > 7 ? "wide" : "");
  drawing.style.maxWidth = `${Math.max(420, left + width + 20) * 1.1}px`;
  const shade = value => (value === null ? "#fff" : mix(SEQUENTIAL, 0.08 + (0.92 * (value - low)) / (high - low || 1)));
  models.forEach((model, r) => {
    const y = top + r * rowHeight;
    drawing.append(text(left - 8, y + rowHeight / 2 + 4, model, { ...RIGHT, "font-size": withNumbers ? 12 : 10 }));
    auroc[r].forEach((value, c) => {
      drawing.append(rect(left + c * size, y, size - 1, rowHeight - 1, { fill: shade(value), stroke: epigenomes[c].id === model ? ON : null, "stroke-width": 1.5 }));
      if (withNumbers && value !== null) {
        const fillColour = (value - low) / (high - low || 1) > 0.5 ? "#fff" : INK;
        drawing.append(text(left + (c + 0.5) * size, y + rowHeight / 2 + 4, fixed(value, 3), { ...CENTRED, fill: fillColour }));
      }
    });
  });
  epigenomes.forEach((epigenome, c) => {
    const name = epigenome.id + (epigenome.held_out ? "*" : "");
    drawing.append(text(0, 0, name, { ...RIGHT, "font-size": withNumbers ? 12 : 10, transform: `translate(${left + (c + 0.5) * size + 4},${top + height + 8}) rotate(-90)` }));
  });
  const keyTop = top + height + 76;
  for (let i = 0; i < 48; i++) drawing.append(rect(left + 3 * i, keyTop, 3.3, 8, { fill: shade(low + (high - low) * ((i + 0.5) / 48)) }));
  drawing.append(text(left - 8, keyTop + 8, fixed(low, 3), { ...RIGHT, ...SMALL }), text(left + 152, keyTop + 8, `${fixed(high, 3)} AUROC`, SMALL));
  explore(drawing, { x: left, y: top, w: width, h: height }, models.length, epigenomes.length, (r, c) =>
    `model: ${models[r]}\ntest genes: ${titleOf(c)}\nAUROC ${fixed(auroc[r][c], 3)}`);
  const heldOut = epigenomes.some(epigenome => epigenome.held_out) ? " * The model was not trained on this epigenome." : "";
  const random = n < epigenomes[0].n_test ? ", chosen at random" : "";
  $("transfer-text").textContent = (models.length > 1
    ? `Rows are models, columns are epigenomes. Each cell is the AUROC on ${n} test genes of the epigenome${random}. No model was trained on them. Orange frames mark a model on its own epigenome.`
    : `One pooled model scores all epigenomes. Each cell is the AUROC on ${n} test genes of the epigenome.`) + heldOut;
  figure($("transfer-figure"), "AUROC of every model on every epigenome", drawing, "transfer", () => [
    ["model", ...epigenomes.map(epigenome => epigenome.id)], ...models.map((model, r) => [model, ...auroc[r]]),
  ], true);
}

