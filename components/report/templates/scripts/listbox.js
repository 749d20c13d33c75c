// A list of any length with only the visible rows in the document: a listbox of one choice, moved by keyboard or pointer.

const HEIGHT = 60; // pixels of a row, as in examples.css
const MARGIN = 8; // rows drawn beyond each edge

class Listbox {
  /** `draw(option, row)` fills an option; `choose(row)` is told of each choice. */
  constructor(box, draw, choose) {
    Object.assign(this, { box, draw, choose, rows: [], chosen: -1, options: new Map() });
    this.space = box.firstElementChild;
    box.addEventListener("scroll", oncePerFrame(() => this.render()), { passive: true });
    box.addEventListener("keydown", (event) => this.onKey(event));
    box.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.select(Number(option.dataset.place));
    });
    new ResizeObserver(oncePerFrame(() => this.render())).observe(box);
  }

  /** Show `rows` and choose the first. */
  show(rows) {
    this.rows = rows;
    this.options.forEach((option) => option.remove());
    this.options.clear();
    this.space.style.height = `${rows.length * HEIGHT}px`;
    this.select(rows.length ? 0 : -1);
  }

  select(place) {
    this.chosen = place;
    if (place < 0) this.box.removeAttribute("aria-activedescendant");
    this.bringIntoView(place);
    this.render();
    this.choose(place < 0 ? null : this.rows[place]);
  }

  bringIntoView(place) {
    const top = place * HEIGHT, bottom = top + HEIGHT;
    if (top < this.box.scrollTop) this.box.scrollTop = Math.max(0, top);
    else if (bottom > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = bottom - this.box.clientHeight;
  }

  onKey(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / HEIGHT) - 1);
    const last = this.rows.length - 1;
    const to = {
      ArrowDown: this.chosen + 1,
      ArrowUp: this.chosen - 1,
      PageDown: this.chosen + page,
      PageUp: this.chosen - page,
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.select(Math.min(Math.max(to, 0), last));
  }

  render() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / HEIGHT) - MARGIN);
    const seen = this.box.scrollTop + this.box.clientHeight;
    const last = Math.min(this.rows.length, Math.ceil(seen / HEIGHT) + MARGIN);
    const wanted = new Set(this.chosen < 0 ? [] : [this.chosen]); // what the box calls active must exist
    for (let place = first; place < last; place++) wanted.add(place);
    for (const [place, option] of this.options) {
      if (!wanted.has(place)) { option.remove(); this.options.delete(place); }
    }
    wanted.forEach((place) => this.options.has(place) || this.options.set(place, this.space.appendChild(this.option(place))));
    this.options.forEach((option, place) => option.setAttribute("aria-selected", String(place === this.chosen)));
    if (this.chosen >= 0) this.box.setAttribute("aria-activedescendant", this.options.get(this.chosen).id);
  }

  option(place) {
    const option = h("div", {
      role: "option", id: `option-${place}`, "data-place": place, "aria-posinset": place + 1, "aria-setsize": this.rows.length,
    });
    option.style.top = `${place * HEIGHT}px`;
    this.draw(option, this.rows[place]);
    return option;
  }
}
