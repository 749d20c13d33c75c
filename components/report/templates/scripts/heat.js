// Text with its words coloured by relevance, by the rules of components/report/drawing/heat.py.

const LEVELS = 8;

function level(value, scale) {
  return scale > 0 ? Math.max(-LEVELS, Math.min(LEVELS, Math.round(LEVELS * value / scale))) : 0;
}

/** The class of a colour: s supports, o opposes, z neither. */
function side(value, scale) {
  const found = level(value, scale);
  return found > 0 ? `s l${found}` : found < 0 ? `o l${-found}` : "z";
}

function largest(values) {
  let found = 0;
  for (const value of values) found = Math.max(found, Math.abs(value));
  return found;
}

/** Signed share of all relevance on words, per unit. */
function shares(units) {
  let mass = 0;
  for (const unit of units) mass += Math.abs(unit.value);
  return units.map((unit) => (mass > 0 ? unit.value / mass : 0));
}

const SIDES = ["text", "text_pair"];

function sideName(side) {
  return h("span", { class: "side-name" }, SIDES[side]);
}

/** What follows a word's name, so that it tells which text of a pair the word is in. */
function sideMark(start, pairStart) {
  return pairStart > 0 ? ` [${SIDES[start < pairStart ? 0 : 1]}]` : "";
}

/** The text as it stands; words are not isolated from each other, so the order of mixed directions is the text's own.
 * `pairStart`: where the second text of a pair begins, or −1; both come after their names. */
function heat(characters, units, scale, leftOut, pairStart) {
  const text = (from, to) => characters.slice(from, to).join("");
  const between = (from, to) => (from < pairStart && pairStart <= to
    ? [text(from, pairStart), sideName(1), text(pairStart, to)] : text(from, to));
  const parts = pairStart > 0 ? [sideName(0)] : [];
  let at = 0;
  const portions = shares(units);
  units.forEach(({ start, end, value }, i) => {
    if (start >= end) return;
    parts.push(between(at, start), h("span", { class: side(portions[i], scale), "data-v": signed(value) }, text(start, end)));
    at = end;
  });
  parts.push(between(at, characters.length), leftOut ? h("span", { class: "cut" }, ` … ${count(leftOut)} more characters`) : "");
  return parts;
}
