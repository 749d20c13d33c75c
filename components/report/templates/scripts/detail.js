// The chosen row: answer, flags, both versions side by side, sums, layers.

/** `names`: what the two versions are called. */
function detail(rows, row, content, names) {
  const header = h("header", {}, h("h3", {}, h("bdi", {}, rows.index.id[row])), answer(rows, row), flags(rows, row));
  if (content === null) return [header, h("p", { class: "empty", dir: "auto" }, `No attribution: ${rows.problem(row)}`)];
  const isPicture = content.grid[0] > 0 && content.grid[1] > 0;
  const title = titles(rows, row, names);
  const body = isPicture ? pictureFigures(content, title, `Picture ${rows.index.id[row]}`) : texts(rows, row, content, title);
  return [header, body, changedMost(content), ...sums(rows, row, content), ...layers(content, isPicture)];
}

function answer(rows, row) {
  const name = (column) => h("b", {}, h("bdi", {}, rows.label(column, row)));
  const label = rows.label("label", row), target = rows.label("target", row), reference = rows.label("reference", row);
  const predicted = rows.label("predicted", row);
  if (predicted === null) return h("p", { class: "answer" }, label === null ? "" : "gold ", label === null ? "" : name("label"));
  const output = rows.index.reference_output[row];
  const before = Number.isNaN(output) ? name("reference") : h("b", {}, plain(output));
  return h("p", { class: "answer" }, "predicts ", name("predicted"), " ", certainty(rows.index, row),
    label === null ? "" : [", gold ", name("label")],
    target === predicted ? "" : ["; explains ", name("target")],
    reference === null || (reference === predicted && Number.isNaN(output)) ? "" : ["; before: ", before]);
}

/** The probability of the predicted class; a regression has none, but its output. */
function certainty({ probability, f_input }, row) {
  return Number.isNaN(probability[row]) ? h("b", {}, plain(f_input[row])) : `with ${percent(probability[row])}`;
}

function flags(rows, row) {
  const of = rows.index.flags[row];
  const chip = ([name, value]) => h("span", { class: "chip" }, h("bdi", {}, name), ": ", h("bdi", {}, value));
  return h("p", { class: "flags" },
    of & WRONG ? badge("fail", "wrong") : null,
    of & CHANGED ? badge("warning", "answer changed") : null,
    of & REASONS ? badge("warning", "reasons changed most") : null,
    of & UNCONVERGED ? badge("warning", "not converged") : null,
    of & PROBLEM ? badge("inconclusive", "not explained") : null,
    rows.segments(row).map(chip));
}

function titles(rows, row, names) {
  const toward = (column) => [", toward ", h("bdi", {}, rows.label(column, row) ?? "")];
  return { reference: [names.reference, toward("reference_target")], candidate: [names.candidate, toward("target")] };
}

/** Both versions on one colour scale of shares, so that a strong word is strong on both sides. */
function texts(rows, row, content, title) {
  const { characters, leftOut, pairStart, reference, candidate } = content;
  const scale = largest([...shares(reference), ...shares(candidate)]);
  const version = (units, heading, target) => {
    const attributes = { class: "heat", dir: "auto", "data-unit": "logits", "data-target": rows.label(target, row) };
    return h("div", {}, h("h4", {}, heading), h("p", attributes, heat(characters, units, scale, leftOut, pairStart)));
  };
  const sides = reference.length ? [version(reference, title.reference, "reference_target")] : [];
  sides.push(version(candidate, title.candidate, "target"));
  return h("div", { class: sides.length > 1 ? "versions" : "version-alone" }, sides);
}

/** The three words whose share changed most; nothing when the two versions cut the text differently. */
function changedMost(content) {
  const { characters, candidate, reference } = content;
  const same = candidate.length === reference.length
    && candidate.every(({ start, end }, i) => reference[i].start === start && reference[i].end === end);
  if (!same || !candidate.length || !characters.length) return null;
  const [before, now] = [shares(reference), shares(candidate)];
  const change = (i) => Math.abs(now[i] - before[i]);
  const order = Array.from(now.keys()).sort((a, b) => change(b) - change(a)).slice(0, 3);
  const word = (i) => [h("span", { class: "word", dir: "auto" }, wordAt(content, i)),
    ` ${signedPercent(before[i])} → `, h("b", {}, signedPercent(now[i])), " "];
  return h("p", { class: "most soft" }, "Share changed most: ", order.map(word));
}

function sums(rows, row, content) {
  const { f_input, f_baseline, residual, coverage, drift, margin } = rows.index;
  const total = content.candidate.reduce((sum, unit) => sum + unit.value, content.special);
  const facts = [
    `sum ${signed(total)} = logit ${plain(f_input[row])} − baseline ${plain(f_baseline[row])}`,
    `special tokens ${signed(content.special)}`,
    `largest residual ${percent(residual[row], 2)}`,
    Number.isNaN(margin[row]) ? null : `margin ${plain(margin[row])}`,
    Number.isNaN(drift[row]) ? null : `reasons moved ${percent(drift[row])}`,
    coverage[row] < 1 ? `${percent(coverage[row])} of the input read` : null,
  ];
  return [h("p", { class: "sums soft" }, facts.filter((fact) => fact !== null).join(" · "))];
}

function layers(content, isPicture) {
  const missing = "The page does not carry this row’s layers; the attribution table does.";
  if (content.flow === null) return [h("p", { class: "sums soft" }, missing)];
  return [h("h4", {}, "Layers"), isPicture ? layerGrids(content) : flowTable(content)];
}
