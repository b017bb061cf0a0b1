/* Evaluations: maps of a grid of task sizes, and one of its cells. */
const grids = D.files.flatMap((file) => (file.grids || []).map((g) => Object.assign(g, {file})));
for (const g of grids) {
	unpackAxes(g);
	for (const part of g.subsets) part.figures.push({name: "n_prompts", title: "prompts of the cell", units: "1", values: part.n, count: true});
}
const grid = {at: 0, part: 0, figure: "accuracy", view: 0, cell: -1};
const gridMaps = [];
const SHARES = ["accuracy", "candidate_accuracy", "mass", "chance", "last_of_action", "last_of_state", "most_frequent"];
const BASELINES = ["chance", "last_of_action", "last_of_state", "most_frequent"];
const FIGURES = {accuracy: "accuracy", candidate_accuracy: "accuracy among candidates", logprob_answer: "log-probability of the answer", mass: "probability of the right answers",
	margin: "margin to the best other candidate", chance: "chance", last_of_action: "by the action alone", last_of_state: "by the state alone", most_frequent: "by the most frequent state", n_prompts: "prompts"};

const partNow = () => grids[grid.at].subsets[grid.part];
const figureOf = (part, name) => part.figures.find((f) => f.name === name);
function gridLabel(g, cell) {
	return g.axes.map((a) => `${a.name}${a.name === "reachable" ? " from" : ""} ${num(a.values[stepOf(a, cell)])}`).join(", ") || "all";
}
/* "0.75 [0.4, 0.93]", "−2.4 ± 0.3". */
function figureText(f, cell) {
	const x = unpack(f.values)[cell];
	if (f.low && f.high) return num(x) + interval(unpack(f.low)[cell], unpack(f.high)[cell]);
	const spread = f.stderr ? unpack(f.stderr)[cell] : NaN;
	return num(x) + (Number.isNaN(spread) ? "" : ` ± ${num(spread)}`);
}
/* Why a cell has no number, "" where it has some. */
function lackText(g, part, cell) {
	if (g.why && g.why[cell]) return `not available: ${g.why[cell]}`;
	return unpack(part.n)[cell] > 0 ? "" : "no such prompts";
}
const breaksAt = (g, cell) => Boolean(g.breaks) && unpack(g.breaks)[cell] === 1;
function gridText(g, part, name, cell) {
	const lines = [gridLabel(g, cell)], lack = lackText(g, part, cell), f = figureOf(part, name);
	if (lack) return `${lines[0]}: ${lack}`;
	lines.push(`${FIGURES[name]} ${figureText(f, cell)}${unitOf(f.units)}`);
	if (!f.count) lines.push(`${num(unpack(part.n)[cell])} prompts${part.suffix ? `: ${part.title}` : ""}`);
	for (const base of BASELINES) {
		const b = base !== name && figureOf(part, base);
		if (b && !Number.isNaN(unpack(b.values)[cell])) lines.push(`${FIGURES[base]} ${num(unpack(b.values)[cell])}`);
	}
	if (breaksAt(g, cell)) lines.push("surely above an easier cell");
	return lines.join("\n");
}
/* Which axis is down, which across, and which has a map for each of its values; -1: none. */
function gridViews(g) {
	const n = g.axes.length;
	if (n < 2) return [[-1, n - 1, -1]];
	if (n === 2) return [[0, 1, -1], [1, 0, -1]];
	return [[0, 1, 2], [0, 2, 1], [1, 2, 0]];
}
function gridViewText(g, [row, column, panel]) {
	const name = (a) => a < 0 ? "" : g.axes[a].name;
	return [name(row), name(column)].filter(Boolean).join(" × ") + (panel < 0 ? "" : `, by ${name(panel)}`) || "one cell";
}
function gridLayout(g, [row, column], fixed) {
	const axis = (a) => a < 0 ? {n: 1, values: [NaN], stride: 0, name: ""} : g.axes[a], r = axis(row), c = axis(column);
	const names = (a) => [...a.values].map((v) => Number.isNaN(v) ? "" : num(v));
	const layout = {rows: names(r), columns: names(c), rowTitle: r.name, columnTitle: c.name, bold: [], roles: [], cells: new Int32Array(r.n * c.n)};
	for (let i = 0; i < r.n; i++) for (let k = 0; k < c.n; k++) layout.cells[i * c.n + k] = fixed + i * r.stride + k * c.stride;
	return layout;
}
function gridSource(g, view, step, [low, high]) {
	const part = partNow(), name = grid.figure, f = figureOf(part, name), values = unpack(f.values);
	const panel = view[2] < 0 ? null : g.axes[view[2]], layout = gridLayout(g, view, panel ? step * panel.stride : 0);
	const title = (panel ? `${panel.name} ${num(panel.values[step])}: ` : "") + FIGURES[name];
	return {
		layout, low, high, title, name: title, quantity: FIGURES[name] + (f.units === "1" ? "" : ` (${unitOf(f.units).trim()})`), said: $("evaluation-said"),
		value: (cell) => lackText(g, part, cell) ? NaN : values[cell],
		text: (cell) => gridText(g, part, name, cell),
		outlined: (cell) => breaksAt(g, cell),
		chosen: () => layout.cells.indexOf(grid.cell),
		choose: (cell) => { grid.cell = cell; gridMaps.forEach((map) => map.draw()); drawGridCell(); },
	};
}
function drawGridControls(g) {
	const form = $("evaluation-controls"), focused = document.activeElement && document.activeElement.name, several = D.files.filter((file) => file.grids).length > 1;
	const set = (key) => (v) => { grid[key] = Number(v); drawEvaluation(); };
	const boxes = [["number", "figure", partNow().figures.map((f) => [f.name, FIGURES[f.name]]), grid.figure, (v) => { grid.figure = v; drawEvaluation(); }]];
	if (grids.length > 1) boxes.unshift(["grid", "at", grids.map((x, i) => [i, (several ? `${x.file.label}: ` : "") + x.title]), grid.at, (v) => { Object.assign(grid, {at: Number(v), part: 0, view: 0, cell: -1}); drawEvaluation(); }]);
	if (g.subsets.length > 1) boxes.push(["of", "part", g.subsets.map((p, i) => [i, p.title]), grid.part, set("part")]);
	if (gridViews(g).length > 1) boxes.push(["map", "view", gridViews(g).map((v, i) => [i, gridViewText(g, v)]), grid.view, set("view")]);
	form.replaceChildren(...boxes.map(([title, name, options, value, change]) => {
		const box = select(title, options, value, change);
		box.querySelector("select").name = name;
		return box;
	}));
	if (focused && form.elements[focused]) form.elements[focused].focus();
}
function drawEvaluation() {
	const g = grids[grid.at], box = $("evaluation-maps");
	if (!figureOf(partNow(), grid.figure)) grid.figure = "accuracy";
	if (grid.cell < 0) grid.cell = Math.max(0, unpack(g.subsets[0].n).findIndex((n) => n > 0));
	drawGridControls(g);
	const view = gridViews(g)[grid.view], f = figureOf(partNow(), grid.figure), n = view[2] < 0 ? 1 : g.axes[view[2]].n;
	const scale = SHARES.includes(f.name) ? [0, 1] : scaleOf(unpack(f.values), {anywhere: true});
	gridMaps.length = 0;
	box.replaceChildren();
	for (let step = 0; step < n; step++) {
		const map = new HeatMap(gridSource(g, view, step, scale), n > 1 && box.clientWidth > 800 ? box.clientWidth / 2 - 24 : box.clientWidth - 6);
		gridMaps.push(map);
		box.append(map.node);
	}
	if (g.breaks && unpack(g.breaks).includes(1)) box.append(el("p", {class: "note", text: "Framed: the accuracy is surely above that of an easier cell."}));
	if (g.partsLeft) box.append(el("p", {class: "note", text: "Figures of some parts of the prompts are not in this page for so large a grid. The file has them."}));
	drawGridCell();
}
/* All figures of the chosen cell, of all parts of its prompts. */
function drawGridCell() {
	const g = grids[grid.at], cell = grid.cell, lack = lackText(g, g.subsets[0], cell), box = $("evaluation-detail");
	const parts = [el("h3", {id: "evaluation-chosen", text: gridLabel(g, cell)})];
	if (lack) parts.push(el("p", {text: lack}));
	else {
		const body = el("tbody");
		for (const f of g.subsets[0].figures) {
			const row = el("tr", {"data-figure": f.name}, el("th", {scope: "row", title: f.title, text: FIGURES[f.name] + (f.units === "1" ? "" : ` (${unitOf(f.units).trim()})`)}));
			for (const p of g.subsets) row.append(el("td", {text: figureOf(p, f.name) ? figureText(figureOf(p, f.name), cell) : "–"}));
			body.append(row);
		}
		const head = el("tr", {}, el("th"), ...g.subsets.map((p) => el("th", {scope: "col", text: p.title})));
		parts.push(el("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "All figures of the cell"}, el("table", {}, el("thead", {}, head), body)));
		if (breaksAt(g, cell)) parts.push(el("p", {text: "Its accuracy is surely above that of an easier cell: look at its prompts."}));
		parts.push(el("p", {class: "note", text: "[Wilson's 95% interval], ± standard error of the mean"}));
	}
	box.replaceChildren(el("div", {class: "wide"}, ...parts));
}
