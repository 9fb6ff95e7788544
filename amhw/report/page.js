// What a reader can do with the page: charts that fit the window, designs that are clicked, tables, dark and light.
"use strict";

window.views = {};  // the Vega view of every chart, by its element's id
const chosen = {};  // the ids of the clicked designs, by their front's id, in the order of the clicks

const part = (name, attributes = {}, ...inside) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...inside);
  return made;
};
const read = (id) => JSON.parse(document.getElementById(id).textContent);

// Charts ------------------------------------------------------------------------------------------------------------

function fitted(spec, room) {
  const margin = spec.usermeta?.margin ?? 75;
  if (!spec.concat) return {...spec, width: Math.max(120, Math.min(spec.width, room - margin))};
  const columns = room < 620 ? 1 : 2;
  const width = Math.max(180, Math.min(520, Math.floor(room / columns) - margin));
  const legend = {...spec.config.legend, columns: Math.max(1, Math.floor(room / 260))};
  const concat = spec.concat.map((one) => ({...one, width}));
  return {...spec, columns, concat, config: {...spec.config, legend}};
}

async function draw(element) {
  const name = element.id;
  const spec = fitted(read(`${name}-spec`), element.parentElement.clientWidth);
  const {view} = await vegaEmbed(element, spec, {actions: false, renderer: "svg", tooltip: {theme: "custom"}});
  window.views[name] = view;
  if (!chosen[name]) return;
  view.addEventListener("click", (_, item) => {
    const id = item?.datum?.id;
    if (id !== undefined) toggle(name, id);
  });
  mark(name);
}

let room = innerWidth, waiting = 0;
addEventListener("resize", () => {
  if (innerWidth === room) return;  // a phone's address bar comes and goes
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    room = innerWidth;
    document.querySelectorAll(".chart").forEach(draw);
  }, 200);
});

// Clicked designs ---------------------------------------------------------------------------------------------------

function toggle(front, id, only = false) {
  const known = chosen[front];
  if (only) chosen[front] = [id];
  else chosen[front] = known.includes(id) ? known.filter((each) => each !== id) : [...known, id];
  mark(front);
  show(front);
}

function mark(front) {
  window.views[front]?.signal("chosen", chosen[front]).runAsync();
  for (const row of document.querySelectorAll(`tr.main[data-front="${front}"]`)) {
    row.classList.toggle("chosen", chosen[front].includes(Number(row.dataset.id)));
  }
}

function show(front) {
  const designs = read(`${front}-designs`);
  const panel = document.getElementById(`${front}-cards`);
  const cards = chosen[front].map((id) => card(front, designs.find((design) => design.id === id)));
  const hint = part("p", {className: "hint"}, panel.dataset.hint);
  panel.replaceChildren(...(cards.length ? cards : [hint]));
}

function card(front, design) {
  const drop = part("button", {type: "button", title: "drop", onclick: () => toggle(front, design.id)}, "×");
  const figures = design.figures.flatMap(([what, value]) => [part("dt", {}, what), part("dd", {}, value)]);
  const made = part("article", {className: "card"},
    part("div", {className: "top"}, part("h4", {}, design.name), drop),
    part("p", {className: "group"}, design.group),
    part("dl", {}, ...figures));
  if (design.diagram) made.append(dots(design.diagram));
  for (const map of design.errors) {
    const image = map.image ? [part("img", {src: map.image, alt: `error of ${map.name}`})] : [];
    made.append(part("figure", {}, ...image, part("figcaption", {}, map.caption)));
  }
  for (const command of design.commands) made.append(copyable(command));
  return made;
}

const KINDS = {o: ["kept", "●"], "-": ["negative", "●"], ".": ["dropped", "○"]};

function dots(diagram) {
  const pieces = diagram.split("\n").flatMap((line) => {
    if (/^(p|or) /.test(line)) return [`${line}\n`];
    const [, head, rest] = /^((?:a_\d+)?)(.*)$/.exec(line);
    const bits = [...rest].map((sign) => {
      const [className, dot] = KINDS[sign] ?? ["", sign];
      return className ? part("span", {className}, dot) : sign;
    });
    return [head, ...bits, "\n"];
  });
  return part("pre", {className: "dots"}, ...pieces);
}

function copyable(command) {
  const code = part("code", {}, command);
  const button = part("button", {type: "button"}, "Copy");
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(command);
      button.textContent = "Copied";
    } catch {  // not allowed: select it, so that one key is enough
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  return part("div", {className: "command"}, code, button);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-show]");
  if (!link) return;
  const front = link.dataset.front;
  toggle(front, Number(link.dataset.show), link.dataset.only !== undefined);
  if (link.dataset.only !== undefined) document.getElementById(`${front}-cards`).scrollIntoView({block: "nearest"});
});

// Tables ------------------------------------------------------------------------------------------------------------

function number(text) {
  const found = /^[≤<]?\s*([-−]?[\d.,]+)/.exec(text.trim());
  return found ? Number(found[1].replace("−", "-").replaceAll(",", "")) : NaN;
}

function compared(a, b) {
  const [x, y] = [number(a), number(b)];
  if (Number.isNaN(x) && Number.isNaN(y)) return a.localeCompare(b, "en", {numeric: true});
  return Number.isNaN(x) ? 1 : Number.isNaN(y) ? -1 : x - y;
}

function sortable(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const text = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const rows = [...body.querySelectorAll(":scope > tr.main")];
    const known = rows.filter((row) => column === 0 || text(row).trim() !== "" && text(row) !== "–");
    const missing = rows.filter((row) => !known.includes(row));
    known.sort((a, b) => (down ? -1 : 1) * compared(text(a), text(b)));
    for (const row of [...known, ...missing]) {
      const inner = row.nextElementSibling;
      body.append(row);
      if (inner?.classList.contains("inner")) body.append(inner);
    }
  }));
}

function foldable(table) {
  for (const button of table.querySelectorAll("button.unfold")) {
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", open);
      button.textContent = open ? "▾" : "▸";
      button.closest("tr").nextElementSibling.hidden = !open;
    });
  }
}

function filterable(box) {
  const [field, count] = [box.querySelector("input"), box.querySelector(".count")];
  const rows = [...box.querySelectorAll("tr.main")];
  const apply = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      left += !row.hidden;
      const inner = row.nextElementSibling;
      const open = row.querySelector(".unfold")?.getAttribute("aria-expanded") === "true";
      if (inner?.classList.contains("inner")) inner.hidden = row.hidden || !open;
    }
    count.textContent = `${left} of ${rows.length}`;
  };
  field.addEventListener("input", apply);
  apply();
}

// Start -------------------------------------------------------------------------------------------------------------

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
for (const panel of document.querySelectorAll(".cards")) {
  const front = panel.id.replace(/-cards$/, "");
  chosen[front] = [];
  show(front);
}
document.querySelectorAll("div.table").forEach((box) => {
  filterable(box);
  sortable(box.querySelector("table"));
  foldable(box);
});
document.querySelectorAll(".chart").forEach(draw);
