// The layer × word table of a row: each column sums to f(x) − f(x′).

const PLACES_LEFT = { rest: (n) => `${count(n)} weaker`, special: "special tokens" };

function flowTable(content) {
  const { flow, candidate } = content;
  const places = flow.shown.length;
  const fused = fusedPlaces(content);
  const scale = largest(flow.cells.flat()), fusedScale = largest(fused);
  const line = (name, place, special) => h("tr", { class: special ? "special" : null },
    h("th", { scope: "row", dir: "auto" }, name),
    flow.cells.map((layer) => h("td", { class: side(layer[place], scale) }, cell(layer[place]))),
    h("td", { class: `fused ${side(fused[place], fusedScale)}` }, cell(fused[place])),
    flow.attention ? h("td", { class: "attention" }, percent(flow.attention[place])) : null);
  const weaker = candidate.length - places;
  const body = Array.from(flow.shown, (unit, place) => line(wordAt(content, unit), place, false));
  if (weaker > 0 || content.leftOut) body.push(line(PLACES_LEFT.rest(weaker), places, true));
  body.push(line(PLACES_LEFT.special, places + 1, true));
  return h("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Relevance by layer" },
    h("table", { class: "flow" }, caption(flow), head(flow), h("tbody", {}, body), foot(flow, content)));
}

function wordAt({ characters, candidate, pairStart }, unit) {
  const { start, end } = candidate[unit];
  return characters.slice(start, end).join("") + sideMark(start, pairStart);
}

/** The fused map over the table's places: shown words, the rest, special tokens. */
function fusedPlaces({ flow, candidate, special }) {
  const shown = Array.from(flow.shown, (unit) => candidate[unit].value);
  const all = candidate.reduce((sum, unit) => sum + unit.value, 0);
  return [...shown, all - shown.reduce((sum, value) => sum + value, 0), special];
}

function caption(flow) {
  return h("caption", {}, h("span", {},
    "Logits by layer (0: embeddings), one colour scale for all layers, to ±1/254 of a layer’s largest; “fused” is the map above.",
    flow.attention ? " Attention: what attention rollout carries from the word to the answer, all layers." : null));
}

function head(flow) {
  const column = (name, kind) => h("th", { scope: "col", class: `num ${kind}` }, name);
  return h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Word"), flow.cells.map((_, layer) => column(String(layer), "")),
    column("fused", "fused"), flow.attention ? column("attention", "") : null));
}

function foot(flow, { candidate, special }) {
  const line = (name, values, last) => h("tr", {}, h("th", { scope: "row" }, name),
    Array.from(values, (value) => h("td", {}, value)), h("td", { class: "fused" }, last), flow.attention ? h("td", {}) : null);
  const total = candidate.reduce((sum, unit) => sum + unit.value, special);
  return h("tfoot", {},
    line("sum", Array.from(flow.totals, cell), cell(total)),
    line("residual", Array.from(flow.residuals, (value) => percent(value, 2)), ""),
    line("path points", Array.from(flow.points, String), ""));
}
