// The report's page: data that was packed by tead/report.py, charts, and a list of all rows.
"use strict";

(async () => {
  const BARS = 36, ROW_HEIGHT = 128;
  const TALLEST = 12e6; // a browser's elements end near 17 million pixels

  byId("problem").textContent = "Reading the rows …";
  let data, faces;
  try {
    const [json, weights] = await Promise.all([unpack("data"), unpack("faces")]);
    data = JSON.parse(new TextDecoder().decode(json));
    faces = weights;
  } catch (error) {
    byId("problem").textContent = `The data of this page cannot be read: ${error}`;
    return;
  }
  const { rows, units, shapes, manifest, checks } = data;
  const total = rows.text.length;
  const near = new Set(rows.near);
  const unitsOf = rows.au_codes.rows.map((codes) =>
    [...new Set(codes.map((code) => rows.au_codes.unit[code]))].filter((unit) => unit >= 0));

  function weightsOf(row) {
    const w = {};
    shapes.forEach((name, i) => { w[name] = faces[row * shapes.length + i] / 255; });
    return w;
  }

  // Selection

  const unfiltered = () => ({
    words: [], emotion: -1, units: new Set(), split: -1, source: -1, llm: -1, near: false,
  });
  const state = unfiltered();
  let selection = Uint32Array.from({ length: total }, (_, row) => row);
  let lowered = null;

  /** Return what is searched of each row, in lower case; made when first asked for. */
  function searchable() {
    const { names, rows: situations } = rows.situations;
    const told = names.map((name) => name.toLowerCase());
    lowered ??= rows.text.map((text, row) => [
      text.toLowerCase(), ...situations[row].map((index) => told[index]), rows.id[row],
    ].join("\n"));
    return lowered;
  }

  function select() {
    const texts = state.words.length ? searchable() : null;
    const wanted = [...state.units];
    const found = [];
    for (let row = 0; row < total; row++) {
      if (state.split >= 0 && rows.split.rows[row] !== state.split) continue;
      if (state.source >= 0 && rows.source.rows[row] !== state.source) continue;
      if (state.llm >= 0 && rows.llm.rows[row] !== state.llm) continue;
      if (state.emotion >= 0 && !rows.emotions.rows[row].includes(state.emotion)) continue;
      if (state.near && !near.has(row)) continue;
      if (!wanted.every((unit) => unitsOf[row].includes(unit))) continue;
      if (texts && !state.words.every((word) => texts[row].includes(word))) continue;
      found.push(row);
    }
    selection = Uint32Array.from(found);
  }

  // Counting

  const BINS = 24;
  const widest = Math.max(1, rows.text.map((text) => text.length).sort((a, b) => a - b)[
    Math.floor(0.99 * (total - 1))]);
  const binWidth = [1, 2, 5, 10, 15, 20, 25, 50, 100, 200, 500, 1000, 5000, 50000]
    .find((width) => width * BINS > widest) ?? Math.ceil(widest / BINS);

  function count(chosen) {
    const size = units.length;
    const found = {
      units: new Uint32Array(size), together: new Uint32Array(size * size),
      emotions: new Uint32Array(rows.emotions.names.length),
      first: new Uint32Array(rows.emotions.names.length),
      lengths: new Uint32Array(BINS), mean: new Float64Array(shapes.length),
    };
    for (const row of chosen) {
      for (const a of unitsOf[row]) {
        found.units[a]++;
        for (const b of unitsOf[row]) found.together[a * size + b]++;
      }
      const tags = rows.emotions.rows[row];
      for (const tag of tags) found.emotions[tag]++;
      if (tags.length) found.first[tags[0]]++;
      found.lengths[Math.min(BINS - 1, Math.floor(rows.text[row].length / binWidth))]++;
      const start = row * shapes.length;
      for (let i = 0; i < shapes.length; i++) found.mean[i] += faces[start + i];
    }
    return found;
  }

  const whole = count(selection);

  // Charts

  const unitBars = units.map((unit, index) => {
    const name = element("span", "name", `AU${unit.code} `);
    name.append(element("i", "", unit.name));
    const bar = makeBar("button", name, ["part", "mark"]);
    bar.title = unit.description;
    bar.addEventListener("click", () => {
      state.units.has(index) ? state.units.delete(index) : state.units.add(index);
      update();
    });
    byId("units").append(bar);
    return bar;
  });

  const topTags = [...rows.emotions.names.keys()]
    .sort((a, b) => whole.emotions[b] - whole.emotions[a]);
  const tagBars = topTags.slice(0, BARS).map((tag) => {
    const bar = makeBar(
      "button", element("span", "name", rows.emotions.names[tag]), ["part", "first", "mark"]);
    const judged = checks.prototypes[rows.emotions.names[tag]];
    if (judged) {
      bar.title = `${number(judged[0])} of ${number(judged[1])} rows that name it first ` +
        "agree with its prototype";
    }
    bar.addEventListener("click", () => {
      state.emotion = state.emotion === tag ? -1 : tag;
      update();
    });
    byId("emotions").append(bar);
    return [tag, bar];
  });
  if (topTags.length > BARS) {
    byId("emotions").append(
      element("p", "hint", `and ${number(topTags.length - BARS)} more in the menu above`));
  }

  const bins = Array.from(whole.lengths, (value, index) => {
    const bin = element("div", "bin"), from = index * binWidth;
    const to = index === BINS - 1 ? "more" : from + binWidth - 1;
    bin.title = `${from} to ${to} characters: ${number(value)} of all rows`;
    for (const layer of ["part", "mark"]) bin.append(element("div", layer));
    if (index % 4 === 0) bin.append(element("span", "", from));
    byId("lengths").append(bin);
    return bin;
  });

  const heat = byId("together").firstElementChild;
  const MARGIN = 24, CELL = 17, SIDE = MARGIN + CELL * units.length;
  heat.width = heat.height = 2 * SIDE;

  /** Draw the share of the rows with one unit (down) that show another (across). */
  function drawHeat(counts, marked = null) {
    const context = heat.getContext("2d"), style = getComputedStyle(document.body);
    const ink = style.getPropertyValue("--soft"), accent = style.getPropertyValue("--accent");
    context.setTransform(2, 0, 0, 2, 0, 0);
    context.clearRect(0, 0, SIDE, SIDE);
    context.font = "9px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    units.forEach((unit, a) => {
      const own = counts.together[a * units.length + a], place = MARGIN + CELL * (a + 0.5);
      context.globalAlpha = 1;
      context.fillStyle = ink;
      context.fillText(unit.code, MARGIN / 2, place);
      context.fillText(unit.code, place, MARGIN / 2);
      units.forEach((_, b) => {
        const share = a === b ? 0.06 : own ? counts.together[a * units.length + b] / own : 0;
        context.globalAlpha = 0.05 + 0.95 * share;
        context.fillStyle = a === b ? ink : accent;
        context.fillRect(MARGIN + b * CELL, MARGIN + a * CELL, CELL - 1, CELL - 1);
      });
    });
    if (marked) {
      context.globalAlpha = 1;
      context.strokeStyle = style.getPropertyValue("--warm");
      context.lineWidth = 1.5;
      const [y, x] = marked.map((index) => MARGIN + index * CELL - 1);
      context.strokeRect(x, y, CELL + 1, CELL + 1);
    }
  }

  function cellAt(event) {
    const box = heat.getBoundingClientRect();
    const place = (part) => Math.floor((part * SIDE - MARGIN) / CELL);
    const a = place((event.clientY - box.top) / box.height);
    const b = place((event.clientX - box.left) / box.width);
    return a >= 0 && b >= 0 && a < units.length && b < units.length ? [a, b] : null;
  }

  heat.addEventListener("mousemove", (event) => {
    const cell = cellAt(event);
    drawHeat(current, cell);
    if (!cell) return;
    const [a, b] = cell, size = units.length;
    const both = current.together[a * size + b], own = current.together[a * size + a];
    byId("pair").textContent = a === b
      ? `AU${units[a].code} ${units[a].name}: ${number(own)} rows.`
      : `AU${units[a].code} ${units[a].name} with AU${units[b].code} ${units[b].name}: ` +
        `${number(both)} rows, ${percent(own ? both / own : 0)} of AU${units[a].code}.`;
  });
  heat.addEventListener("mouseleave", () => drawHeat(current));
  heat.addEventListener("click", (event) => {
    const cell = cellAt(event);
    if (!cell) return;
    state.units = new Set(cell);
    update();
  });

  let current = whole;

  /** Return shares of the rows shown, and of all, relative to the largest of both. */
  function relative(name, most = 0) {
    const chosen = Math.max(1, selection.length);
    most ||= Math.max(Math.max(...current[name]) / chosen, Math.max(...whole[name]) / total) || 1;
    return {
      most,
      part: (index) => current[name][index] / chosen / most,
      all: (index) => whole[name][index] / total / most,
    };
  }

  function drawCharts() {
    current = selection.length === total ? whole : count(selection);
    byId("report").classList.toggle("unfiltered", current === whole);
    const shown = relative("units"), tags = relative("emotions"), lengths = relative("lengths");
    const first = relative("first", tags.most);
    unitBars.forEach((bar, index) => setBar(
      bar, [shown.part(index), shown.all(index)], number(current.units[index]),
      state.units.has(index)));
    for (const [tag, bar] of tagBars) {
      setBar(bar, [tags.part(tag), first.part(tag), tags.all(tag)],
        number(current.emotions[tag]), state.emotion === tag);
    }
    bins.forEach((bin, index) => {
      bin.children[0].style.height = `${100 * lengths.part(index)}%`;
      bin.children[1].style.height = `${100 * lengths.all(index)}%`;
    });
    drawHeat(current);
    const mean = {};
    shapes.forEach((name, i) => {
      mean[name] = selection.length ? current.mean[i] / selection.length / 255 : 0;
    });
    Face.draw(byId("mean"), mean);
  }

  // The list: as many elements as fit the window, filled as they come into sight

  const list = byId("list"), pool = [];

  function makeRow() {
    const node = element("div", "row"), canvas = element("canvas");
    canvas.width = canvas.height = 216;
    const told = element("div"), codes = element("div"), meta = element("div", "meta");
    told.append(element("p"), element("p", "situation"));
    told.firstChild.dir = told.lastChild.dir = "auto";
    codes.append(element("div", "chips"), element("div", "chips"));
    node.append(canvas, told, codes, meta);
    node.tabIndex = 0;
    node.setAttribute("role", "listitem");
    node.addEventListener("click", () => showDetail(node.position));
    node.addEventListener("keydown", (event) => {
      if (event.key === "Enter") showDetail(node.position);
    });
    list.append(node);
    return node;
  }

  function chips(column, row, name, most = Infinity) {
    const words = column.rows[row].slice(0, most).map((index) => column.names[index]);
    return words.map((word) => element("span", name, word));
  }

  /** Return the situation that was searched for, or the first. */
  function situationOf(row) {
    const told = rows.situations.rows[row].map((index) => rows.situations.names[index]);
    const sought = (text) => state.words.some((word) => text.toLowerCase().includes(word));
    return (state.words.length && told.find(sought)) || told[0] || "";
  }

  function fill(node, row) {
    const [canvas, told, codes, meta] = node.children;
    Face.draw(canvas, weightsOf(row));
    told.firstChild.textContent = visible(rows.text[row], SHORT);
    told.lastChild.textContent = visible(situationOf(row), SHORT);
    codes.firstChild.replaceChildren(...chips(rows.emotions, row, "chip", 8));
    codes.lastChild.replaceChildren(...chips(rows.au_codes, row, "chip unit", 16));
    const word = (column) => rows[column].names[rows[column].rows[row]];
    const lines = [word("split"), word("source"), `by ${word("llm")}`, rows.id[row]];
    meta.replaceChildren(...lines.map((line) => element("div", "", line.slice(0, SHORT))));
  }

  function drawList(refill = false) {
    const height = list.clientHeight, tall = selection.length * ROW_HEIGHT;
    const spacer = Math.min(tall, TALLEST);
    byId("spacer").style.height = `${spacer}px`;
    const reach = Math.max(1, spacer - height);
    const offset = tall > spacer ? (list.scrollTop / reach) * (tall - height) : list.scrollTop;
    const first = Math.max(0, Math.floor(offset / ROW_HEIGHT) - 1);
    const wanted = Math.ceil(height / ROW_HEIGHT) + 3;
    while (pool.length < wanted) pool.push(makeRow());
    pool.forEach((node) => { node.wanted = false; });
    for (let place = first; place < Math.min(first + pool.length, selection.length); place++) {
      const node = pool[place % pool.length], row = selection[place];
      if (refill || node.row !== row) fill(node, row);
      node.row = row;
      node.position = place;
      node.wanted = true;
      node.style.transform = `translateY(${place * ROW_HEIGHT - offset + list.scrollTop}px)`;
    }
    pool.forEach((node) => { node.hidden = !node.wanted; });
  }

  list.addEventListener("scroll", () => drawList(), { passive: true });
  window.addEventListener("resize", () => drawList());

  // One row in full

  const detail = byId("detail");
  let shownPlace = 0;

  function showDetail(place) {
    shownPlace = Math.max(0, Math.min(selection.length - 1, place));
    const row = selection[shownPlace], picture = element("div"), words = element("div");
    const canvas = element("canvas");
    canvas.width = canvas.height = 560;
    const weights = weightsOf(row);
    Face.draw(canvas, weights);
    picture.append(canvas);
    for (const name of shapes.filter((shape) => weights[shape] > 0)) {
      const bar = makeBar("div", element("span", "name", name), ["first"]);
      setBar(bar, [weights[name]], weights[name].toFixed(2));
      picture.append(bar);
    }
    const text = element("p", "text", rows.text[row]);
    text.dir = "auto";
    const facts = element("dl");
    const add = (name, ...content) => {
      const value = element("dd");
      value.dir = "auto";
      value.append(...content);
      facts.append(element("dt", "", name), value);
    };
    const chipBox = (column, name) => {
      const box = element("div", "chips");
      box.append(...chips(rows[column], row, name));
      return box;
    };
    add("emotions", chipBox("emotions", "chip"));
    add("action units", chipBox("au_codes", "chip unit"));
    const told = element("ul");
    const situations = rows.situations.rows[row].map((index) => rows.situations.names[index]);
    told.append(...situations.map((situation) => element("li", "", situation)));
    add("situations", told);
    if (rows.labels.rows[row].length) add("labels", chipBox("labels", "chip"));
    for (const column of ["split", "source", "llm", "prompt_version"]) {
      add(column.replace("_", " "), visible(rows[column].names[rows[column].rows[row]]));
    }
    add("id", visible(rows.id[row]));
    if (near.has(row)) add("near-duplicate", "yes");
    const { length } = rows.text[row];
    if (length > LONG) add("length", `${number(length)} characters, cut here`);
    words.append(text, facts);
    byId("whole").replaceChildren(picture, words);
    if (!detail.open) detail.showModal();
  }

  byId("before").addEventListener("click", () => showDetail(shownPlace - 1));
  byId("after").addEventListener("click", () => showDetail(shownPlace + 1));
  detail.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") showDetail(shownPlace - 1);
    if (event.key === "ArrowRight") showDetail(shownPlace + 1);
  });
  detail.addEventListener("click", (event) => { if (event.target === detail) detail.close(); });

  // Filters

  function fillSelect(id, title, names, order = names.map((_, index) => index)) {
    const options = order.map((index) => option(index, visible(names[index], 60)));
    byId(id).append(option(-1, title), ...options);
  }

  const { emotions, split, source, llm } = rows;
  const countedTags = emotions.names.map((name, i) => `${name} (${number(whole.emotions[i])})`);
  fillSelect("emotion", "any emotion", countedTags, topTags);
  fillSelect("unit", "any unit", units.map((unit) => `AU${unit.code} ${unit.name}`));
  fillSelect("split", "both splits", split.names);
  fillSelect("source", "any source", source.names);
  fillSelect("llm", "any annotator", llm.names);
  for (const id of ["emotion", "split", "source", "llm"]) {
    byId(id).addEventListener("change", (event) => {
      state[id] = Number(event.target.value);
      update();
    });
  }
  byId("unit").addEventListener("change", (event) => {
    state.units = new Set(Number(event.target.value) < 0 ? [] : [Number(event.target.value)]);
    update();
  });
  byId("text").addEventListener("input", (event) => {
    state.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    update();
  });
  byId("near").addEventListener("change", (event) => {
    state.near = event.target.checked;
    update();
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => {
    Object.assign(state, unfiltered());
    update();
  });

  function update() {
    select();
    byId("emotion").value = state.emotion;
    byId("unit").value = state.units.size === 1 ? [...state.units][0] : -1;
    byId("unit").options[0].textContent = state.units.size > 1
      ? [...state.units].map((unit) => `AU${units[unit].code}`).join(" + ") : "any unit";
    byId("found").textContent = selection.length === total
      ? `${number(total)} rows` : `${number(selection.length)} of ${number(total)}`;
    list.scrollTop = 0;
    drawCharts();
    drawList();
  }

  // Figures and provenance

  function addTile(value, name, bad = false) {
    const tile = element("div", bad ? "tile bad" : "tile");
    tile.append(element("b", "", value), element("span", "", name));
    byId("tiles").append(tile);
  }

  const sum = (counts) => Object.values(counts ?? {}).reduce((a, b) => a + b, 0);
  const { counts } = manifest, broken = Object.keys(checks.errors).length;
  const bySplit = checks.rows.map(([name, size]) => `${number(size)} ${name}`);
  addTile(number(total), bySplit.join(", "));
  addTile(checks.units_per_row.toFixed(2), "action units a row");
  addTile(percent(checks.prototype_share), "agree with a tag's prototype");
  if (manifest.label_agreement) {
    addTile(percent(manifest.label_agreement.any_tag),
      `corpus label among the tags of ${number(manifest.label_agreement.rows)} rows`);
  }
  addTile(number(near.size), checks.near_across
    ? `rows with a near-duplicate, ${number(checks.near_across)} across splits`
    : "rows with a near-duplicate, none across splits");
  addTile(number(sum(counts?.rejects)), "rejected texts");
  if (broken) addTile(number(broken), "rules are broken, see below", true);
  else addTile("all", "rules kept by every row");

  const aside = [
    ...Object.entries(counts?.rejects ?? {}).map(([name, n]) => [`rejected: ${name}`, n]),
    ...Object.entries(counts?.left_out ?? {}).map(([name, n]) => [`left out: ${name}`, n]),
    ...Object.entries(counts?.notes ?? {}).map(([name, n]) => [`noted: ${name}`, n]),
    ...Object.entries(checks.errors).map(([name, [n]]) => [`broken: ${name}`, n]),
    ...Object.entries(checks.warnings).map(([name, [n]]) => [`warning: ${name}`, n]),
  ];
  const mostAside = Math.max(1, ...aside.map(([, n]) => n));
  for (const [name, n] of aside) {
    const label = element("span", "name", name);
    label.title = visible(name, SHORT);
    const bar = makeBar("div", label, ["first"]);
    setBar(bar, [n / mostAside], number(n));
    byId("aside").append(bar);
  }
  if (!aside.length) {
    byId("aside").append(element("p", "hint", "Nothing: every text became a row."));
  }
  if (checks.empty_units.length) {
    byId("aside").append(element("p", "hint",
      `Never shown: ${checks.empty_units.map((code) => `AU${code}`).join(" ")}`));
  }

  const facts = [
    ["annotated by", manifest.annotator?.llm], ["prompts", manifest.annotator?.prompt_version],
    ["corpora", manifest.corpus?.names?.join(", ")],
    ...Object.entries(manifest.parameters?.llm ?? {}),
    ["seed", manifest.parameters?.corpus?.seed], ["strength", manifest.parameters?.strength],
    ["mapping", manifest.parameters?.mapping_version], ["expclip", manifest.expclip],
    ["content", manifest.content_sha256],
  ];
  for (const [name, value] of facts) {
    if (value === undefined || value === null) continue;
    byId("provenance").append(element("dt", "", name.replace("_", " ")), element("dd", "", value));
  }
  byId("config").textContent = visible(String(manifest.config), 80);
  byId("made").textContent = visible(
    `${number(total)} texts with emotions, action units and faces. ` +
    "The face is the mean of the rows shown.");
  document.title = `TEAD ${visible(String(manifest.config), 80)}`;

  byId("problem").remove();
  byId("report").hidden = false;
  update();
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => drawHeat(current));
  document.documentElement.dataset.ready = Math.round(performance.now());
  setTimeout(searchable, 50);
})();
