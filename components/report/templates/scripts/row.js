// The content of a row, unpacked from its blocks: text, words or patches under both versions, layers, picture.

/** Everything the detail shows of `row`; `layers` and `picture` are null where the page does not carry them. */
async function contentOf(rows, row) {
  const { rows: n, layers, pictures, chunk } = rows.counts;
  if (row >= n) return null;
  const number = Math.floor(row / chunk), at = row % chunk;
  const [text, units, flow, picture] = await Promise.all([
    block(`text-${number}`),
    block(`units-${number}`),
    row < layers ? block(`layers-${number}`) : null,
    row < pictures ? block(`pictures-${number}`) : null,
  ]);
  const characters = Array.from(text.text[at]); // offsets count code points, as Python does
  return {
    characters,
    pairStart: text.pair_start[at],
    leftOut: text.characters[at] - characters.length,
    candidate: unitsOf(units, "candidate", at),
    reference: unitsOf(units, "reference", at),
    special: units.special[at],
    grid: units.grid.subarray(2 * at, 2 * at + 2),
    flow: flow && flowOf(flow, at),
    picture: picture && pictureOf(picture, at),
  };
}

/** Units with `start`, `end` (characters) and `value` (logits). */
function unitsOf(columns, side, at) {
  const places = columns[`${side}_at`] ??= offsets(columns[`${side}_n`]);
  const step = columns[`${side}_step`][at];
  const units = [];
  let end = 0;
  for (let i = places[at]; i < places[at + 1]; i++) {
    const start = end + columns[`${side}_gaps`][i];
    end = start + columns[`${side}_lengths`][i];
    units.push({ start, end, value: columns[`${side}_codes`][i] * step });
  }
  return units;
}

/** `cells[layer][place]`: a place per shown unit, then the rest, then special tokens; `attention` is null when not known. */
function flowOf(columns, at) {
  const shownAt = columns.shown_at ??= offsets(columns.shown_n);
  const layersAt = columns.layers_at ??= offsets(columns.layers_n);
  const cellsAt = columns.cells_at ??= offsets(columns.shown_n.map((n, row) => (n + 2) * columns.layers_n[row]));
  const width = columns.shown_n[at] + 2;
  const ofLayers = (name) => columns[name].subarray(layersAt[at], layersAt[at + 1]);
  const steps = ofLayers("steps");
  const codes = columns.cells.subarray(cellsAt[at], cellsAt[at + 1]);
  const attention = columns.attention.subarray(shownAt[at] + 2 * at, shownAt[at + 1] + 2 * at + 2);
  const step = columns.attention_step[at];
  return {
    shown: columns.shown.subarray(shownAt[at], shownAt[at + 1]),
    cells: Array.from(steps, (size, layer) => Array.from(codes.subarray(layer * width, (layer + 1) * width), (c) => c * size)),
    totals: ofLayers("totals"),
    residuals: ofLayers("residuals"),
    points: ofLayers("n_points"),
    attention: step > 0 ? Array.from(attention, (code) => code * step) : null,
  };
}

function pictureOf(columns, at) {
  const places = columns.size_at ??= offsets(columns.size);
  const bytes = columns.jpeg.subarray(places[at], places[at + 1]);
  if (!bytes.length) return null;
  return `data:image/jpeg;base64,${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
}
