// Tooltip, captions with downloads, SVG shapes, and keyboard control: what all figures share.

// ---- Tooltip
const tip = $("tip");
const hideTip = () => { tip.hidden = true; };
document.addEventListener("keydown", event => { if (event.key === "Escape") hideTip(); });

// Show text above the point (x, y) of the window, or below it where there is no room.
function showTip(content, x, y) {
  if (tip.textContent !== content) tip.textContent = content;
  tip.hidden = false;
  const width = tip.offsetWidth;
  const height = tip.offsetHeight;
  const left = Math.min(Math.max(4, x + 14), document.documentElement.clientWidth - width - 4);
  const top = y - height - 12 < 0 ? y + 18 : y - height - 12;
  tip.style.left = `${window.scrollX + left}px`;
  tip.style.top = `${window.scrollY + top}px`;
}

// ---- Captions and downloads
// Put a caption with two download buttons above a drawing. rows() returns the data, header first.
function figure(target, title, drawing, file, rows, scroll) {
  drawing.setAttribute("aria-label", title);
  const button = (name, label, onclick) => el("button", { type: "button", onclick, "aria-label": label }, name);
  const caption = el("figcaption", null, el("strong", null, title), el("span", null,
    button("SVG", `Download ${title} as SVG`, () =>
      save(`${file}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(drawing))),
    " ",
    button("TSV", `Download the data of ${title} as TSV`, () =>
      save(`${file}.tsv`, "text/tab-separated-values", toTsv(rows())))));
  target.replaceChildren(caption, scroll ? el("div", { class: "scroll" }, drawing) : drawing);
}

const toTsv = rows =>
  rows.map(cells => cells.map(cell => String(cell ?? "").replace(/[\t\r\n]/g, " ")).join("\t")).join("\n") + "\n";

function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  el("a", { href: url, download: name.replace(/[^A-Za-z0-9._+-]/g, "_") }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// ---- Shapes
function canvas(width, height, cssClass) {
  const drawing = svg("svg", {
    xmlns: SVG,
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    class: cssClass,
    "font-family": "system-ui, Arial, sans-serif",
    "font-size": 12,
    fill: INK,
  });
  drawing.style.maxWidth = `${Math.round(1.15 * width)}px`;
  return drawing;
}

const SMALL = { fill: SOFT, "font-size": 11 };
const TINY = { fill: SOFT, "font-size": 10 };
const CENTRED = { "text-anchor": "middle" };
const RIGHT = { "text-anchor": "end" };

const rect = (x, y, width, height, attributes) => svg("rect", { x, y, width, height, ...attributes });
const text = (x, y, content, attributes) => svg("text", { x, y, ...attributes }, content);
const line = (x1, y1, x2, y2, attributes) => svg("line", { x1, y1, x2, y2, stroke: GREY, ...attributes });
const path = (points, attributes) => svg("path", {
  d: "M" + points.map(point => point.map(value => value.toFixed(1)).join(",")).join("L"),
  fill: "none",
  "stroke-width": 1.5,
  ...attributes,
});

// The axis along the bins, from left to left + width.
function drawBinAxis(drawing, left, width, y, withLabel) {
  for (const [t, name] of axisTicks) {
    const x = left + t * width;
    drawing.append(line(x, y, x, y + 4, { stroke: SOFT }), text(x, y + 16, name, { ...CENTRED, ...SMALL }));
  }
  if (withLabel) drawing.append(text(left + width / 2, y + 31, axisLabel, { ...CENTRED, fill: SOFT }));
}

// An empty chart in a box {x, y, w, h}, with ticks as pairs of fraction and label.
function chart(width, height, box, xTicks, yTicks, xName, yName) {
  const drawing = canvas(width, height);
  for (const [t, name] of yTicks) {
    const y = box.y + box.h * (1 - t);
    drawing.append(line(box.x, y, box.x + box.w, y, { stroke: PALE }), text(box.x - 6, y + 4, name, { ...RIGHT, ...SMALL }));
  }
  for (const [t, name] of xTicks) {
    drawing.append(text(box.x + box.w * t, box.y + box.h + 16, name, { ...CENTRED, ...SMALL }));
  }
  drawing.append(
    text(box.x + box.w / 2, box.y + box.h + 32, xName, { ...CENTRED, fill: SOFT }),
    text(box.x, box.y - 8, yName, { fill: SOFT }),
  );
  return drawing;
}

// ---- Grids that the pointer and the arrow keys explore
// describe(r, c) returns the tooltip of the cell in row r and column c of the box.
function explore(drawing, box, rows, columns, describe) {
  const cursor = rect(null, null, box.w / columns, box.h / rows, {
    fill: "none",
    stroke: "#f0a202",
    "stroke-width": 2,
    visibility: "hidden",
    "pointer-events": "none",
  });
  let r = 0;
  let c = Math.floor(columns / 2);
  const show = () => {
    cursor.setAttribute("x", box.x + (c * box.w) / columns);
    cursor.setAttribute("y", box.y + (r * box.h) / rows);
    cursor.setAttribute("visibility", "visible");
    const shape = cursor.getBoundingClientRect();
    showTip(describe(r, c), shape.x + shape.width / 2, shape.y);
  };
  const leave = () => {
    cursor.setAttribute("visibility", "hidden");
    hideTip();
  };
  const follow = event => {
    const shown = drawing.getBoundingClientRect();
    const view = drawing.viewBox.baseVal;
    const x = ((event.clientX - shown.x) / shown.width) * view.width - box.x;
    const y = ((event.clientY - shown.y) / shown.height) * view.height - box.y;
    if (x < 0 || y < 0 || x >= box.w || y >= box.h) return leave();
    r = Math.floor((y / box.h) * rows);
    c = Math.floor((x / box.w) * columns);
    show();
  };
  const step = event => {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!steps) return;
    event.preventDefault();
    r = (r + steps[0] + rows) % rows;
    c = (c + steps[1] + columns) % columns;
    show();
  };
  fill(drawing, {
    tabindex: 0,
    onpointermove: follow,
    onpointerdown: follow,
    onpointerleave: leave,
    onblur: leave,
    onkeydown: step,
  }, [cursor]);
}

