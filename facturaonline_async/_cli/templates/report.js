"use strict";
// The rows come as numbers and texts (see report_html.py). Every text is put in as text: nothing here reads HTML.
(() => {
  const [NUMBER, RFC, EMPRESA, SERIES] = [0, 1, 2, 3];
  const [STATE, UID, REASON, CHANGED, GROUP] = [0, 1, 2, 3, 4]; // of a company; a serie has letra and kind before them
  const MOST_SERIES = 12;
  const MOST_PRINTED = 2000;

  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const { states, names, there, kinds, reasons, rows, texts } = data;
  const shown = { rows, page: 0, sort: "row", down: false, group: -1, printing: false };

  const facts = (serie) => serie.slice(2);
  const called = (serie) => `${serie[0]}:${kinds[serie[1]]}`;
  const entries = (row) => (row[EMPRESA] ? [row[EMPRESA], ...row[SERIES].map(facts)] : row[SERIES].map(facts));
  const moments = new Map(); // sorting asks often
  const changed = (row) => {
    if (!moments.has(row)) moments.set(row, Math.max(...entries(row).map((entry) => entry[CHANGED] ?? -1)));
    return moments.get(row);
  };
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const number = (value) => value.toLocaleString("en");
  const text = (name, values = {}) => texts[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);

  // ── What is looked for ────────────────────────────────────────────────────────────────────────────────────────────

  let searched = null; // made by the first search

  const textOf = (row) =>
    fold([
      row[NUMBER], row[RFC],
      ...entries(row).flatMap((entry) => [entry[UID] ?? "", names[entry[STATE]], reasons[entry[REASON]]]),
      ...row[SERIES].map(called),
    ].join(" "));

  const orders = {
    row: (a, b) => a[NUMBER] - b[NUMBER],
    rfc: (a, b) => (a[RFC] < b[RFC] ? -1 : a[RFC] > b[RFC] ? 1 : 0),
    changed: (a, b) => changed(a) - changed(b),
  };

  const find = () => {
    const words = fold(byId("search").value).split(/\s+/).filter(Boolean);
    const wanted = new Set([...document.querySelectorAll("[name=state]:checked")].map((box) => states.indexOf(box.value)));
    if (words.length) searched ??= rows.map(textOf);
    const found = rows.filter(
      (row, place) =>
        words.every((word) => searched[place].includes(word)) &&
        (!wanted.size || entries(row).some((entry) => wanted.has(entry[STATE]))) &&
        (shown.group < 0 || entries(row).some((entry) => entry[GROUP] === shown.group)),
    );
    if (shown.sort !== "row" || shown.down) found.sort((a, b) => (shown.down ? -1 : 1) * orders[shown.sort](a, b));
    shown.rows = found;
    shown.page = 0;
    byId("clear").hidden = !(words.length || wanted.size || shown.group >= 0);
    byId("group").hidden = shown.group < 0;
    draw();
  };

  // ── How it is shown ───────────────────────────────────────────────────────────────────────────────────────────────

  const element = (name, css, ...children) => {
    const made = document.createElement(name);
    if (css) made.className = css;
    made.append(...children);
    return made;
  };

  const badge = (state) => element("span", `badge s-${states[state]}`, names[state]);

  const serieItem = (serie) => {
    const [state, uid] = facts(serie);
    const item = element("li", `s-${states[state]}`, element("span", `dot s-${states[state]}`), element("bdi", "", called(serie)));
    item.append(" ", element(there[state] ? "span" : "em", there[state] ? "sr" : "", names[state]));
    item.title = uid ? text("uid", { state: names[state], uid }) : names[state];
    return item;
  };

  const seriesCell = (row) => {
    const list = element("ul", "kinds", ...row[SERIES].slice(0, MOST_SERIES).map(serieItem));
    const more = row[SERIES].slice(MOST_SERIES);
    if (more.length) {
      const rest = element("details", "", element("summary", "", text("more_series", { number: more.length })), element("ul", "kinds", ...more.map(serieItem)));
      list.append(element("li", "", rest));
    }
    return element("td", "", list);
  };

  const whyCell = (row) => {
    const why = new Map(); // series with the same reason share an entry
    for (const serie of row[SERIES]) {
      const reason = facts(serie)[REASON];
      if (reason) why.set(reason, [...(why.get(reason) ?? []), called(serie)]);
    }
    const cell = element("td", "why");
    if (row[EMPRESA]?.[REASON]) cell.append(element("p", "", element("bdi", "", reasons[row[EMPRESA][REASON]])));
    for (const [reason, series] of why) {
      cell.append(element("p", "", element("b", "", element("bdi", "", series.join(", "))), " ", element("bdi", "", reasons[reason])));
    }
    return cell;
  };

  const rowElement = (row) => {
    const rfc = element("th", "", element("bdi", "", row[RFC]));
    rfc.scope = "row";
    const empresa = element("td", "");
    if (row[EMPRESA]) empresa.append(badge(row[EMPRESA][STATE]));
    if (row[EMPRESA]?.[UID]) empresa.append(element("code", "", row[EMPRESA][UID]));
    const last = changed(row);
    const when = last < 0 ? "" : new Date((data.began + last + data.offset) * 1000).toISOString().slice(0, 19).replace("T", " ");
    return element(
      "tr", "", element("td", "", number(row[NUMBER])), rfc, empresa, seriesCell(row), whyCell(row), element("td", "time", when),
    );
  };

  const draw = () => {
    const per = shown.printing ? MOST_PRINTED : Number(byId("per").value);
    const pages = Math.max(1, Math.ceil(shown.rows.length / per));
    shown.page = Math.min(shown.page, pages - 1);
    const first = shown.page * per;
    const some = shown.rows.slice(first, first + per);
    const empty = element("td", "empty", text("no_row"));
    empty.colSpan = 6;
    byId("body").replaceChildren(...(some.length ? some.map(rowElement) : [element("tr", "", empty)]));
    const all = number(rows.length);
    const found =
      shown.rows.length < rows.length
        ? text("some_rows", { found: number(shown.rows.length), all })
        : text(rows.length === 1 ? "row" : "rows", { number: all });
    byId("found").textContent =
      pages > 1 ? text("rows_shown", { rows: found, first: number(first + 1), last: number(first + some.length) }) : found;
    byId("page").textContent = text("page", { page: number(shown.page + 1), pages: number(pages) });
    byId("pages").hidden = pages === 1;
    for (const button of document.querySelectorAll("[data-go]")) {
      button.disabled = ["first", "previous"].includes(button.dataset.go) ? shown.page === 0 : shown.page === pages - 1;
    }
  };

  // ── What people do ────────────────────────────────────────────────────────────────────────────────────────────────

  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("input", (event) => (event.target.id === "per" ? ((shown.page = 0), draw()) : find()));
  byId("clear").addEventListener("click", () => {
    for (const box of document.querySelectorAll("[name=state]:checked")) box.checked = false;
    byId("search").value = "";
    shown.group = -1;
    find();
    byId("search").focus();
  });
  for (const button of document.querySelectorAll("[data-go]")) {
    button.addEventListener("click", () => {
      shown.page = { first: 0, previous: shown.page - 1, next: shown.page + 1, last: Infinity }[button.dataset.go];
      draw();
      byId("found").scrollIntoView({ block: "nearest" });
    });
  }
  for (const button of document.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => {
      shown.down = shown.sort === button.dataset.sort && !shown.down;
      shown.sort = button.dataset.sort;
      for (const head of document.querySelectorAll("[aria-sort]")) head.removeAttribute("aria-sort");
      button.closest("th").setAttribute("aria-sort", shown.down ? "descending" : "ascending");
      find();
    });
  }
  for (const button of document.querySelectorAll("[data-reason]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      shown.group = Number(button.dataset.reason);
      byId("group").textContent = text("with_reason");
      find();
      byId("rows").scrollIntoView();
    });
  }
  addEventListener("beforeprint", () => { shown.printing = true; draw(); });
  addEventListener("afterprint", () => { shown.printing = false; draw(); });

  byId("app").hidden = false;
  draw();
})();
