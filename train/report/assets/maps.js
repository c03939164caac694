// Pattern maps, observed reads, gradients and attention as heat maps, and profiles of observed and optimized values.

// ---- Maps
const ACTIVE = 0.25;
const SOURCES = {
  pattern: "optimized pattern",
  observed: "observed reads",
  gradients: "integrated gradients",
  attention: "attention",
};
const EXPLANATIONS = {
  pattern: doc.data_prior
    ? "The most typical input that the model assigns to this class, divided by the largest value of its two maps." +
      (run.pooled ? " All epigenomes share the maps of the pooled model." : "")
    : "The input that the model scores highest under an L2 penalty. Values are between 0 and 1.",
  observed: "Mean reads per bin over all genes of this class, without any model." + (run.transform === "log1p" ? " Colours are on a logarithmic scale." : ""),
  gradients: `What each bin adds to the ${run.task === "regress" ? "predicted expression, in standard units" : "log-odds of \u201con\u201d"}, on average over test genes of this class. Orange bins favour on, blue bins favour off.`,
  attention: "The model's attention to the bins of each mark, on average over test genes of this class.",
  difference: "The map of genes that are on minus the map of genes that are off. Orange bins are higher in the first, blue bins in the second.",
};

function drawMaps() {
  if (!state.source) return;
  const isDifference = state.class === "difference";
  const explanation = isDifference ? EXPLANATIONS.difference : EXPLANATIONS[state.source] + describeMarkAttention();
  $("explain").textContent = [explanation, doc.absent.pattern, doc.absent.attention].filter(Boolean).join(" ");
  const maps = [[state.epigenome, state.class]];
  if (state.other >= 0) maps.push([state.other, state.class]);
  else if (!isDifference) maps.push([state.epigenome, state.class === "on" ? "off" : "on"]);
  $("pair").replaceChildren(...maps.map(([e, kind]) => {
    const target = el("figure");
    drawMap(target, e, kind);
    return target;
  }));
}

function describeMarkAttention() {
  const weights = epigenomes[state.epigenome].mark_attention;
  if (state.source !== "attention" || !weights) return "";
  const list = c => marks.map((mark, m) => `${mark} ${fixed(weights[c][m], 2)}`).join(", ");
  return ` Attention to marks: ${CLASSES.map((name, c) => `genes ${name}: ${list(c)}`).join("; ")}.`;
}

// Draw one map of epigenome e. kind is a class, or "difference".
function drawMap(target, e, kind) {
  const map = mapCells(e, kind, state.source);
  const isPattern = state.source === "pattern";
  const countsActive = isPattern && !map.diverging;
  const left = 82, width = 400, right = 128, top = 8;
  const rowHeight = 30, height = rowHeight * marks.length, cellWidth = width / bins;
  const drawing = canvas(left + width + right, height + top + 66, "map");
  const means = map.values.map(mean);
  marks.forEach((mark, m) => {
    const y = top + m * rowHeight, middle = y + rowHeight / 2 + 4;
    const isKnown = state.source === "pattern" || isMeasured(e, m);
    drawing.append(text(left - 8, middle, mark, { ...RIGHT, fill: isKnown ? INK : GREY }));
    if (!isKnown) {
      drawing.append(text(left + width / 2, middle, "not measured", { ...CENTRED, fill: SOFT }));
      return;
    }
    const cells = map.fractions[m].map((t, b) =>
      rect((left + b * cellWidth).toFixed(2), y, (cellWidth + 0.3).toFixed(2), rowHeight - 2, { fill: colour(t, map.diverging) }));
    drawing.append(svg("g", { "shape-rendering": "crispEdges" }, ...cells));
    const bar = (Math.abs(means[m]) / largest(means)) * 56;
    const active = countsActive ? ` (${map.values[m].filter(value => value > ACTIVE).length})` : "";
    drawing.append(
      rect(left + width + 12, y + 6, bar.toFixed(1), rowHeight - 14, { fill: map.diverging ? (means[m] < 0 ? OFF : ON) : "#2171b5" }),
      text(left + width + 16 + bar, middle, fixed(means[m], 2) + active, SMALL),
    );
  });
  const tss = left + width / 2;
  if (hasPositions) drawing.append(line(tss, top, tss, top + height - 2, { stroke: "#444", "stroke-dasharray": "2 3" }));
  drawing.append(rect(left, top, width, height - 2, { fill: "none", stroke: GREY }));
  drawBinAxis(drawing, left, width, top + height, true);
  drawing.append(text(left + width + 12, top + height + 16, countsActive ? "mean (active bins)" : "mean", SMALL));
  drawColourKey(drawing, left, top + height + 42, map, e, kind);
  const box = { x: left, y: top, w: width, h: height };
  explore(drawing, box, marks.length, bins, (m, b) => `${marks[m]}, ${position(b)}\n${map.describe(m, b)}`);
  const isShared = isPattern && run.pooled;
  const title = `${isShared ? "pooled model" : titleOf(e)}: genes ${kind === "difference" ? "on \u2212 off" : kind}, ${SOURCES[state.source]}`;
  const id = isShared ? "pooled" : epigenomes[e].id;
  figure(target, title, drawing, `${id}_${kind}_${state.source}`, () => [
    ["epigenome", "class", "mark", "bin", "value"],
    ...marks.flatMap((mark, m) => map.values[m].map((value, b) => [id, kind, mark, b + 1, shorten(value, 5)])),
  ]);
}

// The values of one map (marks by bins), the same as fractions of the colour scale, and a tooltip per cell.
function mapCells(e, kind, source) {
  const isDifference = kind === "difference";
  const read = c => marks.map((_, m) => {
    if (source === "observed") return row("observed", e, c, 0, m);
    return row(source, source === "pattern" ? epigenomes[e].map : e, c, m);
  });
  const reads = [read(0), read(1)];
  // Observed reads are coloured on the scale of the model's input.
  const both = source === "observed" ? reads.map(map => map.map(values => values.map(toInput))) : reads;
  const c = CLASSES.indexOf(kind);
  const values = isDifference ? both[1].map((on, m) => on.map((value, b) => value - both[0][m][b])) : both[c];
  const top = source === "pattern" && !isDifference ? 1 : largest(isDifference ? values.flat() : both.flat(2));
  const optimized = source === "pattern" && !isDifference ? marks.map((_, m) => optimizedReads(e, c, m)) : [];
  const describe = (m, b) => {
    if (source !== "pattern" && !isMeasured(e, m)) return "not measured";
    const value = values[m][b];
    if (isDifference) return `on \u2212 off: ${fixed(value, 3)}`;
    if (source === "observed") return `${fixed(reads[c][m][b], 2)} reads`;
    if (source === "gradients") return `${EFFECT} ${fixed(value, 4)}`;
    if (source === "attention") return `weight ${fixed(value, 4)}`;
    return `value ${fixed(value, 3)}` + (optimized[m] && isMeasured(e, m) ? `, ${fixed(optimized[m][b], 2)} reads` : "");
  };
  const fractions = values.map(cells => cells.map(value => value / top));
  return { values, fractions, top, diverging: isDifference || source === "gradients", describe };
}

// The reads per bin that a map corresponds to in epigenome e; null if they are unknown.
function optimizedReads(e, c, m) {
  const { scale, map } = epigenomes[e];
  if ("optimized" in arrays) return row("optimized", e, c, m);
  return scale && run.depth === "raw" ? row("pattern", map, c, m).map(value => toReads(value * scale)) : null;
}

function drawColourKey(drawing, x, y, map, e, kind) {
  const steps = 48;
  for (let i = 0; i < steps; i++) {
    const t = (i + 0.5) / steps;
    drawing.append(rect(x + i * 3, y, 3.3, 8, { fill: colour(map.diverging ? 2 * t - 1 : t, map.diverging) }));
  }
  // With a correction for depth, one input corresponds to other reads in every mark.
  const scale = state.source === "observed" ? 1 : state.source === "pattern" && run.depth === "raw" ? epigenomes[e].scale : null;
  const inReads = kind !== "difference" && scale;
  const upper = inReads ? `${fixed(toReads(map.top * scale), 1)} reads` : fixed(map.top, map.top < 0.1 ? 3 : 2);
  drawing.append(
    text(x - 8, y + 8, map.diverging ? fixed(-map.top, 2) : "0", { ...RIGHT, ...SMALL }),
    text(x + steps * 3 + 6, y + 8, upper, SMALL),
  );
}

// ---- Profiles: mean and middle half of the observed genes, and the optimized patterns as dashed lines
function drawProfiles() {
  if (!("observed" in arrays)) {
    explainAbsence("profiles", "profiles");
    return;
  }
  const e = state.epigenome, { id, correlation, observed_genes: counts } = epigenomes[e];
  const hasPatterns = "pattern" in arrays && optimizedReads(e, 0, 0) !== null;
  const profiles = marks.map((_, m) => CLASSES.map((_, c) => ({
    mean: row("observed", e, c, 0, m),
    low: row("observed", e, c, 1, m),
    high: row("observed", e, c, 2, m),
    optimized: hasPatterns ? optimizedReads(e, c, m) : null,
  })));
  const width = 196, height = 128, gap = 26, y0 = 24, plotWidth = width - 10;
  const drawing = canvas(marks.length * (width + gap) + 14, height + 66, "wide");
  marks.forEach((mark, m) => {
    const x0 = 30 + m * (width + gap);
    const top = Math.max(0.01, ...profiles[m].flatMap(profile => [...profile.mean, ...profile.high, ...(profile.optimized || [])]));
    const points = values => values.map((value, b) => [x0 + ((b + 0.5) / bins) * plotWidth, y0 + height * (1 - value / top)]);
    drawing.append(text(x0, 14, mark, { "font-weight": 600 }));
    if (!isMeasured(e, m)) {
      drawing.append(text(x0 + plotWidth / 2, y0 + height / 2, "not measured", { ...CENTRED, fill: SOFT }));
      return;
    }
    if (correlation) {
      const rho = CLASSES.map((name, c) => `${name} ${fixed(correlation[c][m], 2)}`).join(", ");
      drawing.append(text(x0 + plotWidth, 14, `\u03c1 ${rho}`, { ...RIGHT, ...SMALL }));
    }
    drawing.append(
      line(x0, y0 + height, x0 + plotWidth, y0 + height),
      text(x0 - 4, y0 + 8, fixed(top, top < 10 ? 1 : 0), { ...RIGHT, ...TINY }),
      text(x0 - 4, y0 + height, "0", { ...RIGHT, ...TINY }),
    );
    [OFF, ON].forEach((stroke, c) => {
      const profile = profiles[m][c];
      drawing.append(
        path([...points(profile.high), ...points(profile.low).reverse()], { fill: stroke, "fill-opacity": 0.15 }),
        path(points(profile.mean), { stroke }),
      );
      if (profile.optimized) drawing.append(path(points(profile.optimized), { stroke, "stroke-dasharray": "4 3" }));
    });
    drawBinAxis(drawing, x0, plotWidth, y0 + height, m === Math.floor(marks.length / 2));
  });
  $("profiles-text").textContent =
    `Reads per bin in ${titleOf(e)}. Orange: the ${counts[1]} genes that are on. Blue: the ${counts[0]} genes that are off. ` +
    "Lines show the mean of the genes, shaded areas their middle half. " +
    (hasPatterns ? "Dashed lines show the optimized patterns. " : "") +
    (correlation ? "\u03c1 is the rank correlation of optimized and observed values." : "");
  figure($("profile"), `${titleOf(e)}: observed and optimized`, drawing, `${id}_observed`, () => [
    ["mark", "bin", "class", "mean", "low", "high", "optimized"],
    ...marks.flatMap((mark, m) => CLASSES.flatMap((name, c) => {
      const { mean, low, high, optimized } = profiles[m][c];
      return mean.map((_, b) => [
        mark, b + 1, name, shorten(mean[b], 5), shorten(low[b], 5), shorten(high[b], 5), optimized ? shorten(optimized[b], 5) : "",
      ]);
    })),
  ], true);
}

