// Relevance of image patches: a canvas of one field per patch over the picture, colours as in components/report/drawing/heat.py.

const SUPPORTS = [0, 94, 190], OPPOSES = [222, 106, 0], MOST_OPAQUE = 215;

/** The picture in grey with the values over it; the description names the strongest patches. */
function grid(values, [rows, columns], scale, picture, label) {
  const canvas = h("canvas", { class: "grid", width: columns, height: rows, role: "img", "aria-label": label });
  const image = new ImageData(columns, rows);
  values.forEach((value, patch) => {
    const strength = scale > 0 ? Math.min(1, Math.abs(value) / scale) : 0;
    image.data.set([...(value > 0 ? SUPPORTS : OPPOSES), Math.round(MOST_OPAQUE * strength)], 4 * patch);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  const ground = picture ? h("img", { class: "ground", src: picture, alt: "" }) : null;
  return h("span", { class: picture ? "stack" : "stack alone" }, ground, canvas);
}

function strongestPatches(values, columns) {
  const order = Array.from(values.keys()).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a])).slice(0, 3);
  const place = (i) => `row ${Math.floor(i / columns) + 1}, column ${(i % columns) + 1}`;
  return order.map((i) => `${place(i)} ${values[i] > 0 ? "supports" : "opposes"} (${signed(values[i])})`).join("; ");
}

function figure(content, caption) {
  return h("figure", {}, content, h("figcaption", {}, caption));
}

/** What the model saw, and the fused map of both versions, on one scale of shares. */
function pictureFigures(content, titles, label) {
  const [, columns] = content.grid;
  const sides = [content.reference, content.candidate].map(shares);
  const scale = largest(sides.flat());
  const figures = [["Reference", sides[0], titles.reference], ["Candidate", sides[1], titles.candidate]]
    .filter(([, values]) => values.length)
    .map(([name, values, title]) => figure(grid(values, content.grid, scale, content.picture,
      `${name}: relevance by patch. Strongest: ${strongestPatches(values, columns)}`), title));
  const seen = content.picture ? figure(h("img", { src: content.picture, alt: label }), "what the model saw") : null;
  return h("div", { class: "pictures" }, seen, figures);
}

function layerGrids({ flow, grid: shape }) {
  const scale = largest(flow.cells.map((layer) => layer.slice(0, -2)).flat());
  const small = flow.cells.map((layer, i) => figure(
    grid(layer.slice(0, -2), shape, scale, null, `Relevance from layer ${i}`),
    `layer ${i}, residual ${percent(flow.residuals[i], 2)}`));
  return h("div", { class: "small" }, small);
}
