// Predicted and observed expression of test genes, in one epigenome and as a change between two.

const CELLS = 60;

// Draw ys against xs as the number of points in each cell of a square from low to high.
function drawDensity(target, title, file, xs, ys, [low, high], unit, notes, rows) {
  const box = { x: 44, y: 26, w: 330, h: 330 }, range = high - low;
  const counts = new Uint32Array(CELLS * CELLS);
  const cell = value => Math.min(CELLS - 1, Math.max(0, Math.floor(((value - low) / range) * CELLS)));
  xs.forEach((value, i) => { counts[(CELLS - 1 - cell(ys[i])) * CELLS + cell(value)] += 1; });
  const most = counts.reduce((a, b) => Math.max(a, b), 1);
  const gap = range > 20 ? 8 : range > 10 ? 4 : 2;
  const ticks = [];
  for (let value = Math.ceil(low / gap) * gap; value <= high; value += gap) ticks.push([(value - low) / range, fixed(value, 0)]);
  const drawing = chart(460, 400, box, ticks, ticks, `observed ${unit}`, `predicted ${unit}`);
  const size = box.w / CELLS;
  const cells = [...counts.keys()].filter(i => counts[i] > 0).map(i =>
    rect((box.x + (i % CELLS) * size).toFixed(1), (box.y + Math.floor(i / CELLS) * size).toFixed(1), size + 0.2, size + 0.2,
      { fill: mix(SEQUENTIAL.slice(1), Math.log(counts[i]) / Math.log(most + 1)) }));
  drawing.append(
    svg("g", { "shape-rendering": "crispEdges" }, ...cells),
    line(box.x, box.y + box.h, box.x + box.w, box.y, { stroke: SOFT, "stroke-dasharray": "3 4" }),
    ...notes.map((note, i) => text(box.x + 8, box.y + 16 + 17 * i, note, { "font-weight": i ? 400 : 600 })),
  );
  const key = { x: box.x + box.w + 14, y: box.y + 10, h: 120 };
  for (let i = 0; i < 40; i++) drawing.append(rect(key.x, key.y + i * 3, 10, 3.3, { fill: mix(SEQUENTIAL.slice(1), 1 - (i + 0.5) / 40) }));
  drawing.append(
    text(key.x, key.y - 8, "genes", SMALL), text(key.x + 15, key.y + 9, String(most), SMALL), text(key.x + 15, key.y + key.h, "1", SMALL),
  );
  const edges = (i, reverse) => {
    const from = low + ((reverse ? CELLS - 1 - i : i) * range) / CELLS;
    return `${fixed(from, 1)} to ${fixed(from + range / CELLS, 1)}`;
  };
  explore(drawing, box, CELLS, CELLS, (r, c) =>
    `${counts[r * CELLS + c]} genes\nobserved ${edges(c, false)}\npredicted ${edges(r, true)}`);
  figure(target, title, drawing, file, rows);
}

function drawRegression() {
  if (doc.absent.regression) {
    $("regression").replaceChildren(el("p", null, doc.absent.regression));
    return;
  }
  const e = state.epigenome, { id, pearson, spearman, r2 } = epigenomes[e];
  const observed = row("expressed", e), predicted = row("predicted", e);
  const limits = [Math.min(0, Math.floor(Math.min(...predicted))), Math.ceil(Math.max(...observed, ...predicted))];
  drawDensity($("regression"), `${id}: expression of test genes`, `${id}_regression`, observed, predicted, limits, "log2(RPKM + 1)", [
    `Pearson r ${fixed(pearson, 3)}`, `Spearman \u03c1 ${fixed(spearman, 3)}`, `R\u00b2 ${fixed(r2, 3)}`,
  ], () => [
    ["gene_id", "symbol", "observed_log2_rpkm", "predicted_log2_rpkm"],
    ...observed.map((value, g) => [doc.expression.id[g], doc.expression.symbol[g], shorten(value, 4), shorten(predicted[g], 4)]),
  ]);
}

// ---- Change between two epigenomes
function drawContrast() {
  if (doc.absent.contrast) return;
  const [a, b] = state.pair;
  const difference = name => {
    const other = row(name, b);
    return row(name, a).map((value, g) => value - other[g]);
  };
  const observed = difference("expressed"), predicted = difference("predicted");
  const [, , r, changed, direction] = doc.expression.contrasts.find(([i, j]) => i === Math.min(a, b) && j === Math.max(a, b));
  const top = Math.ceil(Math.max(2, ...observed.map(Math.abs), ...predicted.map(Math.abs)));
  const names = [a, b].map(e => epigenomes[e].id), title = `${names[0]} against ${names[1]}: log2 fold change`;
  const table = order => order.map(g => [doc.expression.id[g], doc.expression.symbol[g], shorten(predicted[g], 4), shorten(observed[g], 4)]);
  drawDensity($("contrast-figure"), title, `${names.join("_")}_contrast`, observed, predicted, [-top, top], "log2 fold change",
    [`Pearson r ${fixed(r, 3)}`], () => [["gene_id", "symbol", "predicted_log2_fold_change", "observed_log2_fold_change"], ...table([...observed.keys()])]);
  const share = isMissing(direction) ? "" : ` For ${percent(direction)}\u00a0% of these, the predicted change has the right sign.`;
  $("contrast-text").textContent =
    `Predicted and observed change of expression on ${observed.length} test genes: positive if a gene is higher in ${names[0]}. ` +
    `${changed} genes changed more than twofold.${share}`;
  const ranked = [...predicted.keys()].sort((i, j) => predicted[j] - predicted[i]);
  const rows = [...ranked.slice(0, 8), ...ranked.slice(-8)];
  $("contrast-table").replaceChildren(
    el("caption", null, `Test genes with the largest predicted change, ${names[0]} \u2212 ${names[1]}`),
    el("thead", null, el("tr", null, ...["gene", "predicted", "observed"].map(name => el("th", { scope: "col" }, name)))),
    el("tbody", null, ...rows.map(g => el("tr", null, el("td", { title: doc.expression.id[g] }, doc.expression.symbol[g] || doc.expression.id[g]), el("td", null, fixed(predicted[g], 2)), el("td", null, fixed(observed[g], 2))))),
  );
}

function startContrast() {
  if (explainAbsence("contrast", "contrast")) return;
  const compared = [...new Set(doc.expression.contrasts.flatMap(([i, j]) => [i, j]))].sort((i, j) => i - j);
  state.pair = compared.slice(0, 2);
  ["contrast-a", "contrast-b"].forEach((id, side) => {
    fillOptions(id, compared.map(e => [String(e), titleOf(e)]), String(state.pair[side]));
    $(id).addEventListener("change", event => {
      // Choosing the epigenome of the other side swaps the two.
      const chosen = +event.target.value;
      if (chosen === state.pair[1 - side]) state.pair.reverse();
      else state.pair[side] = chosen;
      ["contrast-a", "contrast-b"].forEach((name, i) => { $(name).value = String(state.pair[i]); });
      drawContrast();
    });
  });
  drawContrast();
}

