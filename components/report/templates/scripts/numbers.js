// Numbers as text, by the rules of components/report/drawing/formats.py.

const MINUS = "\u2212";
const THIN = "\u202f";

function plain(value) {
  if (!Number.isFinite(value)) return "not measured";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const digits = size < 1 ? 3 : size < 10 ? 2 : size < 100 ? 1 : 0;
  const text = size < 0.0005
    ? value.toExponential(0)
    : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return text.replaceAll("-", MINUS);
}

function signed(value) {
  return value > 0 ? `+${plain(value)}` : plain(value);
}

function percent(value, digits = 1) {
  return `${(value * 100).toFixed(digits)}${THIN}%`.replace("-", MINUS);
}

function signedPercent(value) {
  return value > 0 ? `+${percent(value)}` : percent(value);
}

/** A signed value for a dense table: two decimals, a centred dot for what rounds to zero. */
function cell(value) {
  return Math.abs(value) < 0.005 ? "·" : `${value > 0 ? "+" : ""}${value.toFixed(2)}`.replace("-", MINUS);
}

function count(value) {
  return value.toLocaleString("en");
}
