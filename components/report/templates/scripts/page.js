// Behaviour of the page: values on hovering, folded tables, the section in view. Without it all stays readable.

const tip = document.getElementById("tip");

function describe(word) {
  const owner = word.closest("[data-unit]");
  const target = word.closest("[data-target]").dataset.target;
  const value = word.dataset.v;
  const sense = value.startsWith("+") ? "supports" : value === "0" ? "neutral to" : "opposes";
  return `${value} ${owner.dataset.unit}, ${sense} ${target}`;
}

function showTip(event) {
  const word = event.target.closest ? event.target.closest("[data-v]") : null;
  tip.hidden = !word;
  if (!word) return;
  tip.textContent = describe(word);
  const box = word.getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left), document.documentElement.clientWidth - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 6;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 50 ? above : box.bottom + 6}px`;
}

function setUpReveal(button) {
  const rest = button.closest("section").querySelectorAll("tbody.more");
  const show = (shown) => rest.forEach((part) => { part.hidden = !shown; });
  show(false);
  button.hidden = false;
  button.addEventListener("click", () => { show(true); button.parentElement.remove(); });
  addEventListener("beforeprint", () => show(true));
}

function followSections() {
  const links = new Map([...document.querySelectorAll("nav.top a")].map((link) => [link.hash.slice(1), link]));
  const mark = () => {
    let current = null;
    for (const id of links.keys()) if (document.getElementById(id).getBoundingClientRect().top < innerHeight / 3) current = id;
    for (const [id, link] of links) {
      if (id === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("scroll", mark, { passive: true });
  mark();
}

document.addEventListener("pointerover", showTip);
addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
document.querySelectorAll("button.reveal").forEach(setUpReveal);
followSections();
