// The table of epigenomes, and charts of AUROC, ROC curves and training.

// ---- Table
const COLUMNS = {
  id: "id",
  name: "name",
  auroc: "AUROC",
  auroc_low: "95 % interval",
  auprc: "AUPRC",
  published: "published AUROC",
  flipped: "flipped labels %",
  n_test: "test genes",
  best_epoch: "best epoch",
};

function drawTable() {
  const listed = listEpigenomes();
  const header = el("tr", null, ...Object.entries(COLUMNS).map(([key, name], i) => {
    const sorted = state.sort !== key ? "none" : state.descending ? "descending" : "ascending";
    const onclick = () => {
      sortBy(key);
      $("table").querySelector(`th:nth-child(${i + 1}) button`).focus();
    };
    return el("th", { scope: "col", "aria-sort": sorted }, el("button", { type: "button", onclick }, name));
  }));
  const rows = listed.map(e => {
    const attributes = { class: e === state.epigenome ? "chosen" : null, title: epigenomes[e].note || null };
    return el("tr", attributes, ...Object.keys(COLUMNS).map(key => el("td", null, tableCell(key, e))));
  });
  $("table").replaceChildren(el("thead", null, header), el("tbody", null, ...rows));
  $("shown").textContent = `${listed.length} of ${epigenomes.length}`;
}

// The epigenomes that match the filter, sorted by the chosen column; missing values come last.
function listEpigenomes() {
  const wanted = $("filter").value.trim().toLowerCase();
  const sign = state.descending ? -1 : 1;
  const matches = epigenome => `${epigenome.id} ${epigenome.name}`.toLowerCase().includes(wanted);
  return [...epigenomes.keys()].filter(e => matches(epigenomes[e])).sort((a, b) => {
    const x = epigenomes[a][state.sort], y = epigenomes[b][state.sort];
    if (x === y) return a - b;
    if (isMissing(x)) return 1;
    if (isMissing(y)) return -1;
    return (x < y ? -1 : 1) * sign;
  });
}

// Text columns start in ascending order, numbers in descending order. A second click reverses the order.
function sortBy(key) {
  state.descending = state.sort === key ? !state.descending : !["id", "name"].includes(key);
  state.sort = key;
  drawTable();
}

function tableCell(key, e) {
  const epigenome = epigenomes[e];
  if (key === "id") {
    const onclick = () => {
      choose(e);
      $("maps").scrollIntoView();
    };
    const button = el("button", { type: "button", title: "Show the maps", onclick }, epigenome.id);
    return epigenome.held_out ? el("span", null, button, el("span", { class: "tag" }, " held out")) : button;
  }
  if (key === "auroc_low") return isMissing(epigenome.auroc_low) ? "" : `${fixed(epigenome.auroc_low, 3)}\u2013${fixed(epigenome.auroc_high, 3)}`;
  if (key === "flipped") return percent(epigenome.flipped);
  if (key === "auroc" || key === "auprc") return fixed(epigenome[key], 3);
  if (key === "published") return fixed(epigenome[key], 2);
  return String(epigenome[key] ?? "");
}

// ---- AUROC of all epigenomes
const BAR = "#8fbfe0";
const CHOSEN_BAR = "#08519c";

function drawBars() {
  const listed = [...epigenomes.keys()]
    .filter(e => typeof epigenomes[e].auroc === "number")
    .sort((a, b) => epigenomes[b].auroc - epigenomes[a].auroc);
  if (!listed.length) return;
  const left = 40, top = 26, height = 190;
  const step = Math.min(60, 1060 / listed.length);
  const width = Math.max(listed.some(e => epigenomes[e].held_out) ? 540 : 440, left + step * listed.length + 10);
  const lowest = Math.min(0.5, ...listed.map(e => epigenomes[e].auroc_low ?? epigenomes[e].auroc));
  const y = value => top + height * (1 - (value - lowest) / (1 - lowest));
  const drawing = canvas(width, height + 82, listed.length > 12 ? "wide" : "");
  for (let value = Math.ceil(lowest * 10) / 10; value <= 1.001; value += 0.1) {
    drawing.append(
      line(left, y(value), width - 6, y(value), { stroke: PALE }),
      text(left - 6, y(value) + 4, fixed(value, 1), { ...RIGHT, ...SMALL }),
    );
  }
  listed.forEach((e, i) => {
    const epigenome = epigenomes[e], x = left + i * step, middle = x + step / 2, isChosen = e === state.epigenome;
    const bar = svg("g", { class: "bar" },
      rect(x + step * 0.14, y(epigenome.auroc), step * 0.72, y(lowest) - y(epigenome.auroc), epigenome.held_out
        ? { fill: "#fff", stroke: isChosen ? CHOSEN_BAR : BAR, "stroke-width": 2, "stroke-dasharray": "4 2" }
        : { fill: isChosen ? CHOSEN_BAR : BAR }));
    if (!isMissing(epigenome.auroc_low)) bar.append(line(middle, y(epigenome.auroc_low), middle, y(epigenome.auroc_high), { stroke: INK }));
    if (epigenome.published !== null) {
      bar.append(svg("path", { d: `M${middle},${y(epigenome.published) - 4}l4,4l-4,4l-4,-4z`, fill: ON, stroke: "#fff" }));
    }
    bar.append(
      text(0, 0, epigenome.id, {
        ...RIGHT,
        transform: `translate(${middle + 4},${y(lowest) + 8}) rotate(-90)`,
        "font-size": 10,
        fill: isChosen ? INK : SOFT,
      }),
      // A transparent area makes the whole column react to the pointer.
      rect(x, top, step, height + 40, { fill: "transparent" }),
    );
    const published = epigenome.published === null ? "" : `, published ${fixed(epigenome.published, 2)}`;
    const content = `${titleOf(e)}\nAUROC ${fixed(epigenome.auroc, 3)}${published}`;
    fill(bar, {
      onpointermove: event => showTip(content, event.clientX, event.clientY),
      onpointerleave: hideTip,
      onclick: () => choose(e),
    }, []);
    drawing.append(bar);
  });
  drawing.append(rect(left + 4, 6, 10, 10, { fill: BAR }), text(left + 20, 15, "this run, with 95 % interval"));
  if (listed.some(e => epigenomes[e].published !== null)) {
    drawing.append(
      svg("path", { d: `M${left + 206},6l5,5l-5,5l-5,-5z`, fill: ON }),
      text(left + 218, 15, "published in 2016 (its own labels)"),
    );
  }
  if (listed.some(e => epigenomes[e].held_out)) {
    const x = listed.some(e => epigenomes[e].published !== null) ? left + 440 : left + 206;
    drawing.append(
      rect(x, 6, 10, 10, { fill: "#fff", stroke: BAR, "stroke-width": 2, "stroke-dasharray": "4 2" }),
      text(x + 16, 15, "held out"),
    );
  }
  figure($("bars"), "Test AUROC, sorted", drawing, "auroc", () => [
    ["epigenome", "auroc", "low", "high", "published"],
    ...listed.map(e => ["id", "auroc", "auroc_low", "auroc_high", "published"].map(key => epigenomes[e][key])),
  ], true);
}

// ---- ROC curves
const CHART_BOX = { x: 44, y: 26, w: 400, h: 270 };
const QUARTERS = [0, 0.25, 0.5, 0.75, 1];

function drawRoc() {
  const box = CHART_BOX, bottom = box.y + box.h, right = box.x + box.w;
  const ticks = QUARTERS.map(t => [t, String(t)]);
  const drawing = chart(460, 340, box, ticks, ticks, "false positive rate", "true positive rate");
  const drawCurve = (id, attributes) => {
    if (!doc.roc[id]) return;
    const last = doc.roc[id].length - 1;
    const points = doc.roc[id].map((rate, i) => [box.x + (i / last) * box.w, box.y + box.h * (1 - rate)]);
    drawing.append(path([[box.x, bottom], ...points], attributes));
  };
  drawing.append(line(box.x, bottom, right, box.y, { "stroke-dasharray": "3 4" }));
  epigenomes.forEach((epigenome, e) => {
    if (e !== state.epigenome) drawCurve(epigenome.id, { stroke: GREY, "stroke-width": 0.8 });
  });
  const highlighted = [[state.other, ON, 40], [state.epigenome, OFF, 22]].filter(([e]) => e >= 0);
  for (const [e, stroke, offset] of highlighted) {
    const { id, auroc } = epigenomes[e];
    drawCurve(id, { stroke, "stroke-width": 2.5 });
    drawing.append(text(right - 4, bottom - offset + 10, `${id}: ${fixed(auroc, 3)}`, { ...RIGHT, fill: stroke, "font-weight": 600 }));
  }
  figure($("roc"), "ROC curves on test genes", drawing, "roc", () => [
    ["epigenome", "false_positive_rate", "true_positive_rate"],
    ...Object.entries(doc.roc).flatMap(([id, rates]) => rates.map((rate, i) => [id, i / (rates.length - 1), rate])),
  ]);
}

// ---- Training curves
const MEASURES = [
  ["train_loss", "training loss", OFF],
  ["valid_loss", "validation loss", ON],
  ["valid_auroc", "validation AUROC", GREEN],
];

function drawTraining() {
  const epigenome = epigenomes[state.epigenome], curves = doc.curves[epigenome.model];
  if (!curves || !curves.train_loss.length) {
    $("training").replaceChildren(el("p", null, "This model was not trained in epochs, so it has no training curve."));
    return;
  }
  const epochs = curves.train_loss.length, box = CHART_BOX;
  // A few very large validation losses must not flatten the curves.
  const top = Math.max(1, ...curves.train_loss, ...curves.valid_loss.filter(loss => loss !== null && loss < 3));
  const xTicks = [[0, "1"], [1, String(epochs)]];
  const drawing = chart(460, 340, box, xTicks, QUARTERS.map(t => [t, fixed(t * top, 2)]), "epoch", "");
  const x = i => box.x + (epochs > 1 ? i / (epochs - 1) : 0.5) * box.w;
  const y = value => box.y + box.h * (1 - Math.min(value, top) / top);
  MEASURES.forEach(([key, name, stroke], k) => {
    const points = curves[key].map((value, i) => [x(i), y(value)]).filter(point => Number.isFinite(point[1]));
    drawing.append(
      path(points, { stroke }),
      text(box.x + box.w - 4 - 125 * (2 - k), box.y - 8, name, { ...RIGHT, fill: stroke, "font-weight": 600 }),
    );
  });
  if (epigenome.best_epoch) {
    const best = x(epigenome.best_epoch - 1);
    drawing.append(
      line(best, box.y, best, box.y + box.h, { stroke: SOFT, "stroke-dasharray": "2 3" }),
      best > box.x + box.w / 2
        ? text(best - 4, box.y + box.h - 6, `kept: epoch ${epigenome.best_epoch}`, { ...RIGHT, ...SMALL })
        : text(best + 4, box.y + box.h - 6, `kept: epoch ${epigenome.best_epoch}`, SMALL),
    );
  }
  figure($("training"), `${epigenome.model}: training`, drawing, `${epigenome.model}_training`, () => [
    ["epoch", ...MEASURES.map(([key]) => key)],
    ...curves.train_loss.map((_, i) => [i + 1, ...MEASURES.map(([key]) => curves[key][i])]),
  ]);
}

