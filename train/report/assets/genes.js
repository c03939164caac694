// The gene view: reads of one gene, and what they add to its score.
const DRIVE = ["#00507d", "#6aaed6", "#aab4bd", "#f0a36b", "#a34700"];
const labelOf = g => (genes.symbol[g] ? `${genes.symbol[g]} (${genes.id[g]})` : genes.id[g]);

// Find the gene with this name, or the first whose symbol or id starts with it. Return its number, or -1 if there is none.
function findGene(typed) {
  const wanted = typed.trim().toLowerCase();
  if (!wanted) return -1;
  const names = genes.id.map((id, g) => [genes.symbol[g], id, labelOf(g)].map(name => name.toLowerCase()));
  const exact = names.findIndex(aliases => aliases.includes(wanted));
  return exact >= 0 ? exact : names.findIndex(([symbol, id]) => symbol.startsWith(wanted) || id.startsWith(wanted));
}

function showGene(g) {
  state.gene = (g + genes.id.length) % genes.id.length;
  drawGene();
}

function drawGene() {
  const e = state.epigenome, g = state.gene;
  const hasGradients = "gene_gradients" in arrays;
  const tracks = marks.map((_, m) => row("tracks", e, g, m));
  const gradients = marks.map((_, m) => (hasGradients ? row("gene_gradients", e, g, m) : Array(bins).fill(0)));
  const strongest = largest(gradients.flat());
  const sums = gradients.map(sum);
  const left = 82, width = 720, right = 170, top = 8, rowHeight = 52, height = rowHeight * marks.length;
  const drawing = canvas(left + width + right, top + height + 40, "wide gene");
  // The square root makes weak attributions visible.
  const paint = gradient => mix(DRIVE, (Math.sign(gradient) * Math.sqrt(Math.abs(gradient) / strongest) + 1) / 2);
  marks.forEach((mark, m) => {
    const y0 = top + m * rowHeight, base = y0 + rowHeight - 6, most = Math.max(4, ...tracks[m]);
    if (!isMeasured(e, m)) {
      drawing.append(
        text(left - 8, y0 + rowHeight / 2 + 4, mark, { ...RIGHT, fill: SOFT }),
        text(left + width / 2, y0 + rowHeight / 2 + 4, "not measured", { ...CENTRED, fill: SOFT }),
      );
      return;
    }
    drawing.append(
      text(left - 8, y0 + rowHeight / 2 + 4, mark, RIGHT),
      text(left + 3, y0 + 11, `0\u2013${most}`, TINY),
      line(left, base, left + width, base),
    );
    tracks[m].forEach((count, b) => {
      if (count === 0) return;
      const bar = (count / most) * (rowHeight - 14);
      drawing.append(rect(
        (left + (b * width) / bins).toFixed(1), (base - bar).toFixed(1), (width / bins - 0.6).toFixed(1), bar.toFixed(1),
        { fill: hasGradients ? paint(gradients[m][b]) : SOFT },
      ));
    });
    if (!hasGradients) return;
    const zero = left + width + 66, bar = (Math.abs(sums[m]) / largest(sums)) * 50;
    drawing.append(
      rect(sums[m] < 0 ? zero - bar : zero, y0 + 14, bar, rowHeight - 30, { fill: sums[m] < 0 ? OFF : ON }),
      text(left + width + right - 2, y0 + rowHeight / 2 + 4, fixed(sums[m], 2), { ...RIGHT, ...SMALL }),
    );
  });
  if (hasGradients) drawing.append(text(left + width + 66, top + height + 12, EFFECT, { ...CENTRED, ...SMALL }));
  drawBinAxis(drawing, left, width, top + height - 6, false);
  drawing.append(text(left + width / 2, top + height + 30, axisLabel, { ...CENTRED, fill: SOFT }));
  const box = { x: left, y: top, w: width, h: height };
  explore(drawing, box, marks.length, bins, (m, b) =>
    `${marks[m]}, ${position(b)}\n${tracks[m][b]} reads` + (hasGradients ? `, ${EFFECT} ${fixed(gradients[m][b], 4)}` : ""));
  const title = `${labelOf(g)} in ${titleOf(e)}`;
  $("gene-text").textContent =
    (isMissing(genes.score[e][g])
      ? `${title} has no score, because only test genes of a held-out epigenome are scored. `
      : `${title} has score ${fixed(genes.score[e][g], 3)}. `) +
    `It is labelled ${CLASSES[genes.on[e][g]]} and belongs to the ${genes.part[g]} set.` +
    (hasGradients ? describeGradients(sums) : "");
  $("gene-status").textContent = `${g + 1} of ${genes.id.length} genes in this report`;
  figure($("track"), title, drawing, `${genes.id[g]}_${epigenomes[e].id}`, () => [
    ["gene_id", "mark", "bin", "reads", "log_odds"],
    ...marks.flatMap((mark, m) =>
      tracks[m].map((count, b) => [genes.id[g], mark, b + 1, count, shorten(gradients[m][b], 4)])),
  ], true);
}

function describeGradients(sums) {
  const [most] = [...marks.keys()].sort((a, b) => Math.abs(sums[b]) - Math.abs(sums[a]));
  const direction = sums[most] < 0 ? "towards off" : "towards on";
  return ` ${marks[most]} changed the score most, ${direction}. Bars show reads per bin. Orange bars favour on, blue bars favour off.`;
}

