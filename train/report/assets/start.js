// Fill the page, and connect the controls.
start();

function start() {
  fillHeader();
  const sources = Object.entries(SOURCES).filter(([name]) => name in arrays);
  state.source = sources.length ? sources[0][0] : "";
  if (!sources.length) explainAbsence("maps", "maps");
  explainAbsence("yardsticks", "yardsticks");
  if (!explainAbsence("transfer", "transfer")) drawTransfer();
  startContrast();
  const names = epigenomes.map((_, e) => [String(e), titleOf(e)]);
  fillOptions("epigenome", names, "0");
  fillOptions("other", [["-1", "the other class"], ...names], "-1");
  fillOptions("class", [["on", "on"], ["off", "off"], ["difference", "on \u2212 off"]], "on");
  fillOptions("source", sources, state.source);
  fillOptions("style", [["default", "default"], ["published", "four levels, as published"]], state.style);
  $("epigenome").addEventListener("change", event => choose(+event.target.value));
  for (const id of ["other", "class", "source", "style"]) {
    $(id).addEventListener("change", event => {
      state[id] = id === "other" ? +event.target.value : event.target.value;
      drawMaps();
      drawRoc();
    });
  }
  $("filter").addEventListener("input", drawTable);
  startGeneView();
  $("method-list").append(...describeMethods().map(item => el("li", null, item)));
  choose(0);
  document.body.dataset.ready = "yes";
}

function fillHeader() {
  const measured = epigenomes.filter(epigenome => typeof epigenome.auroc === "number");
  const published = measured.filter(epigenome => epigenome.published !== null);
  const binOrder = run.orient === "strand" ? ", bins 5\u2032\u21923\u2032 along the gene" : "";
  $("about").textContent =
    `${run.pooled ? `One pooled ${run.model} model` : `${run.model} models`}` +
    `${run.members > 1 ? ` of ${run.members} networks` : ""}, ${run.split || "given"} split, ${run.label_rule || "given"} labels, ${run.transform} input, depth correction: ${run.depth}${binOrder}. ` +
    `Made with deepchrome ${run.made_with.deepchrome || ""}.`;
  const tiles = [
    [epigenomes.length, epigenomes.length === 1 ? "epigenome" : "epigenomes"],
    [measured.length ? fixed(mean(measured.map(epigenome => epigenome.auroc)), 3) : "", "mean test AUROC"],
    [marks.length, "marks"],
    [epigenomes[0].n_test ?? "", "test genes"],
  ];
  if (published.length) tiles.push([fixed(mean(published.map(epigenome => epigenome.published)), 3), `published mean AUROC of ${published.length}`]);
  $("tiles").append(...tiles.map(([value, name]) => el("div", { class: "tile" }, el("b", null, value), el("span", null, name))));
}

function fillOptions(id, list, chosen) {
  $(id).replaceChildren(...list.map(([value, name]) => {
    const option = el("option", { value }, name);
    option.selected = value === chosen;
    return option;
  }));
}

function startGeneView() {
  if (!genes || !genes.id.length) {
    explainAbsence("genes", "genes");
    return;
  }
  $("gene-list").append(...genes.id.map((_, g) => el("option", { value: labelOf(g) })));
  $("gene").addEventListener("change", event => {
    const g = findGene(event.target.value);
    if (g >= 0) showGene(g);
    else $("gene-status").textContent = "not in this report; request the gene when you make the report";
  });
  $("previous").addEventListener("click", () => showGene(state.gene - 1));
  $("next").addEventListener("click", () => showGene(state.gene + 1));
  // The last gene has the highest score.
  state.gene = genes.id.length - 1;
}

// Show an epigenome in all figures.
function choose(e) {
  state.epigenome = e;
  $("epigenome").value = String(e);
  drawTable();
  drawBars();
  drawYardsticks();
  drawCalibration();
  drawRegression();
  drawMaps();
  drawProfiles();
  drawRoc();
  drawTraining();
  if (genes && genes.id.length) drawGene();
}

function describeMethods() {
  const { recipe } = doc, methods = [];
  if (recipe) methods.push(recipe.name === "published" ? describePublished(recipe) : describeStable(recipe));
  if ("gradients" in arrays) {
    methods.push(
      "Integrated gradients follow a path of 32 points from a gene without reads. Class means are over at most 100 test genes. " +
      (epigenomes.every(epigenome => epigenome.complete !== false)
        ? `They add up to the change in ${EFFECT} (mean gap within 2 %).`
        : "In some epigenomes their sum misses the change in the score by more than 2 % on average. Read them with care."),
    );
  }
  if (run.members > 1) {
    methods.push(`Scores are the mean of ${run.members} networks. Maps, attributions and training curves are those of the first.`);
  }
  if (!doc.absent.yardsticks) {
    methods.push(
      "\u201cModel + gene mean\u201d is a logistic regression on both, fitted on validation genes. For an epigenome that is held out, " +
      "it is fitted on the others, and there is no nearest epigenome, because that would use the expression of the epigenome.",
    );
  }
  methods.push(
    "The calibration error is the mean difference between score and fraction on over ten bins, weighted by their genes. " +
    "The Brier score is the mean squared difference between score and label. For both, 0 is best.",
    "AUROC intervals come from 1,000 bootstrap resamples of the test genes. Flipped labels are genes for which the published rule, " +
    "which compares numbers as text, and the numeric rule disagree. Published AUROC values are from Singh et al. 2016, " +
    "on labels by the published rule.",
  );
  if (genes) {
    methods.push("The gene view contains requested genes, and test genes evenly spaced from the lowest to the highest mean score.");
  }
  return methods;
}

function describePublished({ lr, steps, penalty, starts }) {
  return `Pattern maps follow the recipe of 2016: a uniform random start, then ${steps} steps of RMSprop at learning rate ${lr} on the ` +
    `negative log-likelihood plus ${penalty} times the squared norm. The result is clamped to [0, 1] and divided by its maximum.` +
    (starts > 1 ? ` Each map is the mean of ${starts} starts.` : "");
}

function describeStable({ steps, penalty, starts }) {
  const distance = doc.data_prior
    ? "from the average training gene, measured along the principal axes of the training genes" +
      (run.pooled ? " of all epigenomes that the model was trained on" : "")
    : "from zero, because no data were available";
  return `Pattern maps are the mean of ${starts} starts. Each start takes ${steps} steps of RMSprop on the negative log-likelihood plus ` +
    `${penalty} times the squared distance ${distance}. Bins above ${ACTIVE} are called active.`;
}
