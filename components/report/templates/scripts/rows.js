// The index of the rows: filtering, sorting, searching. A row is its position in the index.

// as in components/report/payload/embedding.py
const WRONG = 1, CHANGED = 2, UNCONVERGED = 4, REASONS = 8, PROBLEM = 16;

const KINDS = {
  wrong: (flags) => flags & WRONG,
  changed: (flags) => flags & CHANGED,
  reasons: (flags) => flags & REASONS,
  unconverged: (flags) => flags & UNCONVERGED,
  problem: (flags) => flags & PROBLEM,
};

/** Column to sort by and whether the largest comes first; "" is the order of the blocks, most worth a look first. */
const ORDERS = {
  row: ["row", false],
  drift: ["drift", true],
  margin: ["margin", true],
  doubt: ["margin", false],
  residual: ["residual", true],
  highest: ["f_input", true],
  lowest: ["f_input", false],
};

class Rows {
  /** `counts`: how many rows have words, layers and pictures, and how many are in a block. */
  constructor(index, counts) {
    Object.assign(this, { index, counts, n: index.id.length, texts: null });
  }

  label(column, row) {
    const code = this.index[column][row];
    return code < 0 ? null : this.index.classes[code];
  }

  segments(row) {
    return this.index.segments
      .map((name, i) => [name, this.index[`segment_values_${i}`][this.index[`segment_${i}`][row]]])
      .filter(([, value]) => value !== undefined);
  }

  problem(row) {
    return this.index.problem[row - this.counts.rows] ?? null;
  }

  /** Rows that fit `wanted` (text, predicted, segment, kind, order), in its order. */
  async find(wanted) {
    const fits = await this.searched(wanted.text.trim().toLowerCase());
    const predicted = this.index.classes.indexOf(wanted.predicted);
    const [number, value] = wanted.segment ? JSON.parse(wanted.segment) : [];
    const kind = KINDS[wanted.kind] ?? (() => true);
    const found = [];
    for (let row = 0; row < this.n; row++) {
      if (fits(row) && kind(this.index.flags[row])
        && (!wanted.predicted || this.index.predicted[row] === predicted)
        && (number === undefined || this.index[`segment_${number}`][row] === value)) found.push(row);
    }
    return this.sorted(found, wanted.order);
  }

  sorted(found, order) {
    if (!ORDERS[order]) return found;
    const [name, descending] = ORDERS[order];
    const column = this.index[name];
    const known = found.filter((row) => !Number.isNaN(column[row]));
    const unknown = found.filter((row) => Number.isNaN(column[row]));
    known.sort((a, b) => (descending ? column[b] - column[a] : column[a] - column[b]) || a - b);
    return [...known, ...unknown];
  }

  async searched(text) {
    if (!text) return () => true;
    const texts = await this.lowerCaseTexts();
    return (row) => this.index.id[row].toLowerCase().includes(text) || (texts[row] ?? "").includes(text);
  }

  /** All texts, unpacked by the first search. */
  async lowerCaseTexts() {
    if (this.texts === null) {
      const parts = await Promise.all(this.chunks().map((chunk) => block(`text-${chunk}`)));
      this.texts = parts.flatMap((part) => part.text.map((text) => text.toLowerCase()));
    }
    return this.texts;
  }

  chunks() {
    return Array.from({ length: Math.ceil(this.counts.rows / this.counts.chunk) }, (_, chunk) => chunk);
  }
}
