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

/** The text as it stands; words are not isolated from each other, so the order of mixed directions is the text's own. */
function heat(characters, units, scale, leftOut) {
  const text = (from, to) => characters.slice(from, to).join("");
  const parts = [];
  let at = 0;
  const portions = shares(units);
  units.forEach(({ start, end, value }, i) => {
    if (start >= end) return;
    parts.push(text(at, start), h("span", { class: side(portions[i], scale), "data-v": signed(value) }, text(start, end)));
    at = end;
  });
  parts.push(text(at), leftOut ? h("span", { class: "cut" }, ` … ${count(leftOut)} more characters`) : "");
  return parts;
}
