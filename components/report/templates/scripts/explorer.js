// The list of examples: wires the form, the list, the chosen row and the address (#row=ID, #search=WORD) together.

const MARKS = [
  [WRONG, "wrong"],
  [CHANGED, "answer changed"],
  [REASONS, "reasons changed"],
  [UNCONVERGED, "not converged"],
  [PROBLEM, "not explained"],
];

class Explorer {
  constructor(root) {
    this.root = root;
    this.form = root.querySelector("form");
    this.output = this.form.querySelector("output");
    this.pane = root.querySelector(".detail");
    this.names = { reference: root.dataset.reference, candidate: root.dataset.candidate };
    this.counts = JSON.parse(root.dataset.counts);
    this.request = 0;
  }

  /** Unpack the index and show the list. */
  async open() {
    this.rows = new Rows(await block("index"), this.counts);
    const box = this.root.querySelector("[role=listbox]");
    this.list = new Listbox(box, (option, row) => this.drawOption(option, row), (row) => this.choose(row));
    this.fillSegments();
    this.form.addEventListener("input", afterPause(120, () => this.apply()));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    addEventListener("hashchange", () => this.follow());
    await this.follow() || await this.apply();
  }

  async apply() {
    const request = ++this.request;
    this.output.textContent = "searching …";
    const found = await this.rows.find(Object.fromEntries(new FormData(this.form)));
    if (request !== this.request) return;
    this.output.textContent = `${count(found.length)} of ${count(this.rows.n)} rows`;
    this.root.classList.toggle("nothing", !found.length);
    this.list.show(found);
  }

  /** Go where the address points, if it points at a row or a search. */
  async follow() {
    const [, name, value] = /^#(row|search)=(.*)$/.exec(location.hash) ?? [];
    if (!name) return false;
    const wanted = decoded(value);
    this.form.reset();
    if (name === "search") this.form.elements.text.value = wanted;
    await this.apply();
    const row = this.rows.index.id.indexOf(wanted);
    if (name === "row" && row >= 0) this.list.select(this.list.rows.indexOf(row));
    if (name === "row" && row < 0) this.output.textContent = `no row ${wanted} in this page`;
    document.getElementById("examples").scrollIntoView();
    this.list.box.focus({ preventScroll: true });
    return true;
  }

  async choose(row) {
    if (row === this.shown) return;
    this.shown = row;
    if (row === null) {
      this.pane.replaceChildren(h("p", { class: "empty" }, "No row matches."));
      return;
    }
    const content = await contentOf(this.rows, row);
    if (row !== this.shown) return;
    const parts = detail(this.rows, row, content, this.names).filter((part) => part !== null);
    this.pane.replaceChildren(...parts, this.link(row));
  }

  link(row) {
    return h("p", { class: "sums" }, h("a", { href: `#row=${encodeURIComponent(this.rows.index.id[row])}` }, "Link to this row"));
  }

  drawOption(option, row) {
    const { index } = this.rows;
    const marks = MARKS.filter(([bit]) => index.flags[row] & bit).map(([, name]) => name);
    const predicted = this.rows.label("predicted", row);
    const preview = h("span", { class: "preview", dir: "auto" });
    option.append(
      h("span", { class: "line" }, h("bdi", { class: "id" }, index.id[row]),
        predicted === null ? null : h("span", { class: "soft" }, h("bdi", {}, predicted), " ",
          Number.isNaN(index.probability[row]) ? plain(index.f_input[row]) : percent(index.probability[row], 0)),
        marks.length ? h("span", { class: "marks" }, marks.join(", ")) : null),
      preview);
    this.previewOf(row).then((text) => { preview.textContent = text; });
  }

  /** The second line of a row in the list: its text, or what is known instead. */
  async previewOf(row) {
    const { chunk, rows } = this.rows.counts;
    if (row >= rows) return this.rows.problem(row);
    const gold = this.rows.label("label", row);
    if (this.root.dataset.modality === "image") return gold === null ? "" : `gold ${gold}`;
    const { text, pair_start } = await block(`text-${Math.floor(row / chunk)}`);
    const whole = text[row % chunk], start = pair_start[row % chunk];
    if (start < 0) return whole.slice(0, 160);
    const characters = Array.from(whole); // of a pair the beginning of both texts
    return [characters.slice(0, start - 1), characters.slice(start)].map((side) => side.slice(0, 80).join("")).join(" ¦ ");
  }

  fillSegments() {
    const most = 200; // a column with more values is no segment to choose from
    const { index } = this.rows;
    const columns = index.segments.map((name, i) => [name, i, index[`segment_values_${i}`]]);
    const groups = columns.filter(([, , values]) => values.length <= most);
    const select = this.form.elements.segment;
    select.append(...groups.map(([name, i, values]) => h("optgroup", { label: name },
      values.map((value, code) => h("option", { value: JSON.stringify([i, code]) }, `${name}: ${value}`)))));
    select.closest("label").hidden = !groups.length;
  }
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

/** Unpack when the reader comes near, or at once when the address points into the list. */
function setUpExplorer(root) {
  const explorer = new Explorer(root);
  const pointed = () => /^#(row|search)=/.test(location.hash);
  const open = () => {
    near.disconnect();
    removeEventListener("hashchange", openIfPointed);
    explorer.open().catch(giveUp);
  };
  const openIfPointed = () => pointed() && open();
  const openIfNear = (entries) => entries.some((entry) => entry.isIntersecting) && open();
  const near = new IntersectionObserver(openIfNear, { rootMargin: "800px" });
  const giveUp = (error) => { // the examples drawn for paper are still there
    document.documentElement.classList.remove("explorable");
    root.hidden = true;
    throw error;
  };
  document.documentElement.classList.add("explorable");
  root.hidden = false;
  addEventListener("hashchange", openIfPointed);
  near.observe(root);
  openIfPointed();
}

/** The rows lie behind the script, so that they do not hold up the first screen. */
addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("explorer");
  if (root && "DecompressionStream" in window) setUpExplorer(root);
});
