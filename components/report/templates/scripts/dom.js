// Elements made from data: texts become text nodes only, so nothing that a row contains is ever read as HTML.

/** An element with attributes (null or false: left out; true: empty) and children (elements, texts, or null). */
function h(name, attributes, ...children) {
  const element = name === "svg" || name === "use"
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null));
  return element;
}

/** A badge with one of the page's icons. */
function badge(kind, text) {
  const icon = h("svg", { class: "icon", "aria-hidden": "true" }, h("use", { href: `#i-${kind}` }));
  return h("span", { class: `badge ${kind}` }, icon, text);
}

/** `work` at most once per frame, with the newest arguments. */
function oncePerFrame(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; work(); });
  };
}

/** `work` when nothing was asked for during `milliseconds`. */
function afterPause(milliseconds, work) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(work, milliseconds); };
}
