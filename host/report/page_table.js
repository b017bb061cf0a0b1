/* Tables that are sorted by their headings: of cells, of a comparison's models and cells. */

const PAPER_ROWS = 30; /* of a table that is printed; the others are counted below it */
/* spec: columns [{key, title, value(row), text(row), rising}], the second of which names the row;
 * rows; sort {by, down}, changed here; size(row): what the key "size" sorts by, which the column
 * `sized` turns to after its own two orders; props(row): attributes of its line; most: lines shown. */
function sortedTable(table, spec) {
	const {columns, sort} = spec, order = (x) => Number.isNaN(x) || x === undefined ? -Infinity : x;
	const by = sort.by === "size" ? spec.size : (columns.find((c) => c.key === sort.by) || {value: () => 0}).value;
	const compare = (a, b) => typeof a === "string" ? a.localeCompare(b) : order(a) - order(b) || 0;
	/* Equal ones, and -Infinity minus itself, keep the order of the file; so do all by no column. */
	const rows = spec.rows.map((row, i) => ({row, i, value: by(row)}))
		.sort((a, b) => (sort.down ? compare(b.value, a.value) : compare(a.value, b.value)) || a.i - b.i);
	const heads = columns.map((c) => {
		const sorted = c.key === sort.by || (c.key === spec.sized && sort.by === "size");
		const title = c.key === spec.sized && sort.by === "size" ? `${c.title}, by size` : c.title;
		return el("th", {scope: "col", "aria-sort": sorted ? (sort.down ? "descending" : "ascending") : null},
			el("button", {type: "button", "data-sort": c.key, text: title + (sorted ? (sort.down ? " ▾" : " ▴") : ""), onclick: () => {
				const next = c.key === spec.sized && sort.by === c.key && !sort.down ? "size" : c.key;
				sort.down = next === sort.by ? !sort.down : !c.rising;
				sort.by = next;
				spec.redraw();
				const again = table.querySelector(`[data-sort="${c.key}"]`);
				if (again) again.focus();
			}}));
	});
	const place = el("th", {scope: "col", text: "#"}), body = el("tbody");
	place.style.padding = ".3rem .6rem";
	rows.slice(0, spec.most).forEach(({row}, i) => {
		const line = el("tr", spec.props ? spec.props(row) : {}, el("td", {text: String(i + 1)}));
		if (i >= PAPER_ROWS) line.classList.add("off-paper");
		columns.forEach((c, k) => line.append(k === 0 && spec.props ? el("td", {}, el("button", {type: "button", text: c.text(row)})) : el("td", {text: c.text(row)})));
		body.append(line);
	});
	table.replaceChildren(el("thead", {}, el("tr", {}, place, ...heads)), body);
	if (rows.length > PAPER_ROWS) table.append(el("tfoot", {}, el("tr", {}, el("td", {colspan: columns.length + 1, text: `The first ${PAPER_ROWS} of ${rows.length} rows: the other ${rows.length - PAPER_ROWS} are left out on paper.`}))));
}

/* ---- of cells ---------------------------------------------------------------------------------------- */

const COLUMNS = [["effect", "effect"], ["ci_low", "low"], ["ci_high", "high"], ["restoration", "restoration"], ["p_value", "p"], ["p_fwer", "p_fwer"], ["q_bh", "q"], [RANK, "p_random"], ["n_pairs", "pairs"]];
/* Words, parted by spaces or commas: each must be in the label (L2 is not in L20), or is a comparison
 * of a number of the table, by its heading or its name, or of an axis. A name that there is not is
 * left in `unknown`. */
function matcher(text, s) {
	const unknown = [], tests = text.trim().split(/[\s,]+/).filter(Boolean).map((word) => {
		const m = /^([a-z_]+)(<=|>=|<|>|=)([-−]?[\d.eE+-]+)$/i.exec(word);
		if (!m) {
			const part = new RegExp(word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") + (/\d$/.test(word) ? "(?!\\d)" : ""), "i");
			return (cell) => part.test(label(s, cell));
		}
		const limit = Number(m[3].replace("−", "-")), compare = {"<": (x) => x < limit, ">": (x) => x > limit, "<=": (x) => x <= limit, ">=": (x) => x >= limit, "=": (x) => x === limit}[m[2]];
		const given = m[1].toLowerCase(), heading = COLUMNS.find((c) => c[1] === given), name = heading ? heading[0] : given;
		const axis = {l: "layer", h: "head", pos: "position"}[given] || given;
		if (column(s, name, state.right)) return (cell) => compare(figure(s, name, cell, state.right) + (name === "restoration" ? shift(s) : 0));
		if (given === "size") return (cell) => compare(Math.abs(figure(s, "effect", cell, state.right)));
		if (Number.isNaN(limit) || !s.axes.some((a) => a.kind === axis)) { unknown.push(word); return () => false; }
		return (cell) => compare(valueOf(s, axis, cell));
	});
	return {unknown, keep: (cell) => tests.every((t) => t(cell))};
}
const ROWS = 200;
function drawTable() {
	const s = sweepNow(), {unknown, keep} = matcher(state.filter, s), cells = [];
	const shownAs = (name) => (cell) => figure(s, name, cell, state.right) + (name === "restoration" ? shift(s) : 0);
	const other = s.others.has(state.metric) && state.metric !== RANK ? [[state.metric, state.metric]] : [];
	const columns = [...COLUMNS, ...other].filter(([name]) => column(s, name, state.right)).map(([name, text]) => ({key: name, title: name === "restoration" ? METRICS.restoration.title(s) : text,
		value: shownAs(name), text: (cell) => num(shownAs(name)(cell)), rising: ["p_value", "p_fwer", "q_bh", RANK].includes(name)}));
	const left = (cell) => isControl(s, cell) && !state.controls;
	each(s, (cell) => { if (!Number.isNaN(figure(s, "effect", cell, state.right)) && !left(cell) && keep(cell)) cells.push(cell); });
	$("controls-too").hidden = !s.hasControls;
	$("count").textContent = (unknown.length ? `not a number of this table: ${unknown.join(" ")}; ` : "") + `${cells.length} of ${s.cells} cells` + (s.hasControls && !state.controls ? ", without the random sets" : "") + (cells.length > ROWS ? `, the first ${ROWS} shown` : "") + (s.index ? ` (in this page: the ${s.full} strongest, and ${s.index.length - s.full} more for its maps)` : "");
	sortedTable($("cells"), {columns: [{key: "cell", title: "cell", value: (cell) => cell, text: (cell) => label(s, cell), rising: true}, ...columns], rows: cells, sort: state.order, sized: "effect",
		size: (cell) => Math.abs(figure(s, "effect", cell, state.right)), most: ROWS, redraw: drawTable,
		props: (cell) => ({class: cell === state.cell ? "on" : null, "data-cell": cell, onclick: () => pick(cell)})});
}
function pick(cell) {
	state.cell = cell;
	if (state.view === "pattern") drawMaps(); else maps.forEach((map) => map.draw());
	$("cells").querySelectorAll("tr.on").forEach((row) => row.classList.remove("on"));
	$("cells").querySelectorAll(`tr[data-cell="${cell}"]`).forEach((row) => row.classList.add("on"));
	drawDetail();
}
