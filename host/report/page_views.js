/* Views: which cell stands at each place of a map. */
/* [name, title] of each; of a sweep that is not here as a whole, those whose cells are. */
function viewsOf(sweep) {
	const here = ([name]) => !sweep.index || sweep.maps.some((m) => m.name === name);
	return [...wholeViews(sweep).filter(here), ["strongest", "the strongest cells"]];
}
function wholeViews(sweep) {
	const has = (k) => axisOf(sweep, k), head = has("head") || has("kv_head"), position = has("position") || has("query_position"), views = [];
	if (sweep.intervention === "path") {
		if (has("receiver_layer")) views.push(["paths", "sender × receiver"]);
		else if (has("sender_head")) views.push(["senders", "layer × head"]);
		return views;
	}
	if (has("set")) {
		if (sweep.setSources.includes("pairs")) views.push(["pairs", "head × head"]);
		if (sweep.setSources.some((source) => source !== "random")) views.push(["sets", "sets, the strongest first"]);
	} else if (has("neuron")) views.push(["neurons", "neurons"]);
	else if (has("layer")) {
		if (head || !position) views.push(["heads", head ? "layer × head" : "layer"]);
		if (has("key_position")) views.push(["pattern", "query × key of a head"]);
		if (position) {
			const where = has("key_position") ? "query, its strongest key" : "position";
			views.push(["layers", `layer × ${where}`]);
			if (head) views.push(["positions", `head × ${where}`]);
		}
	} else if (position) views.push(["row", "position"]);
	return views;
}
const one = (v) => v.map((x) => num(x));
function positionLabels(sweep, axis) {
	const pairs = sweep.file.pairs, lengths = unpack(pairs.length);
	const equal = lengths.every((n) => n === lengths[0]);
	const same = (equal || axis.fromEnd) && pairs.shown > 0 && Object.keys(pairs.tokens).length;
	const tokens = unpack(pairs.clean), other = unpack(pairs.corrupted), roles = unpack(pairs.roles);
	const out = {labels: [], bold: [], roles: [], title: (equal && same ? "position" : axis.fromEnd ? "position from the end" : "position") + (same ? ": token of the first pair" : "")};
	axis.values.forEach((v) => {
		const at = v < 0 || axis.fromEnd ? v + lengths[0] : v;
		out.labels.push(same && at >= 0 ? tokenText(sweep.file, tokens[at]) : num(v));
		out.bold.push(Boolean(same && tokens[at] !== other[at]));
		out.roles.push(same && roles ? roles[at] : -1);
	});
	return out;
}
function tokenText(file, id) {
	const text = file.pairs.tokens[id];
	return text ? text.replace(/ /g, "·").replace(/\n/g, "↵").replace(/\t/g, "→") : `#${id}`;
}
/* The strongest keys of rows, in their own order. */
function strongKeys(sweep, keyOf, most) {
	const size = new Map();
	each(sweep, (cell) => {
		const x = Math.abs(figure(sweep, "effect", cell, false)), key = keyOf(cell);
		if (x > (size.get(key) ?? -1)) size.set(key, x);
	});
	return [...size.keys()].sort((a, b) => size.get(b) - size.get(a)).slice(0, most).sort((a, b) => a - b);
}
/* The n strongest of some cells, in falling order. */
function strongestOf(sweep, keep, n) {
	const cells = [], size = (cell) => Math.abs(figure(sweep, "effect", cell, false));
	each(sweep, (cell) => { if (keep(cell) && !isControl(sweep, cell) && !Number.isNaN(size(cell))) cells.push(cell); });
	return cells.sort((a, b) => size(b) - size(a) || a - b).slice(0, n);
}
/* Cells one below another. */
function listLayout(sweep, cells, rowTitle, name) {
	return {rows: cells.map(name), columns: [""], rowTitle, columnTitle: "", bold: [], roles: [], cells: Int32Array.from(cells)};
}
/* The effect of each pair of heads, at both of its places; single heads on the diagonal. */
function pairsLayout(sweep) {
	const set = axisOf(sweep, "set"), found = [], size = new Map();
	each(sweep, (cell) => {
		const m = sweep.setSources[stepOf(set, cell)] === "pairs" && /^(L\d+H\d+)(?:\+(L\d+H\d+))?$/.exec(sweep.sets[stepOf(set, cell)]);
		if (!m) return;
		const two = [m[1], m[2] || m[1]], x = Math.abs(figure(sweep, "effect", cell, false));
		found.push([cell, ...two]);
		for (const head of two) if (!(size.get(head) >= x)) size.set(head, x);
	});
	const order = (head) => head.slice(1).split("H").map(Number).reduce((a, b) => a * 1e4 + b);
	const heads = [...size.keys()].sort((a, b) => size.get(b) - size.get(a)).slice(0, 40).sort((a, b) => order(a) - order(b)), n = heads.length;
	const cells = new Int32Array(n * n).fill(-1), place = new Map(heads.map((head, i) => [head, i]));
	for (const [cell, a, b] of found) if (place.has(a) && place.has(b)) cells[place.get(a) * n + place.get(b)] = cells[place.get(b) * n + place.get(a)] = cell;
	return {rows: heads, columns: heads, rowTitle: "head", columnTitle: "and head; alone on the diagonal" + (size.size > n ? ` (the ${n} strongest)` : ""), bold: [], roles: [], cells};
}
/* Neurons in lines of 64; of several positions the strongest. */
function neuronLayout(sweep) {
	const neuron = axisOf(sweep, "neuron"), layer = axisOf(sweep, "layer"), wide = Math.min(64, neuron.n), lines = Math.ceil(neuron.n / wide), rows = [];
	for (let l = 0; l < (layer ? layer.n : 1); l++) for (let k = 0; k < lines; k++) rows.push((layer && layer.n > 1 ? `L${layer.values[l]} ` : "") + num(neuron.values[k * wide]));
	const cells = new Int32Array(rows.length * wide).fill(-1);
	each(sweep, (cell) => {
		const k = stepOf(neuron, cell), at = ((layer ? stepOf(layer, cell) : 0) * lines + Math.floor(k / wide)) * wide + k % wide;
		cells[at] = stronger(sweep, cell, cells[at]);
	});
	return {rows, columns: Array.from({length: wide}, (_, i) => `+${i}`), rowTitle: "neuron", columnTitle: "neuron, from the first of its line", bold: [], roles: [], cells};
}
/* Of two cells of one place the one that stands there; -1: none. A sweep that is not here as a whole
 * has the strongest over all pairs alone. */
function stronger(sweep, cell, before) {
	const size = (x) => { const e = Math.abs(figure(sweep, "effect", x, state.right && !sweep.index)); return Number.isNaN(e) ? -1 : e; };
	return before < 0 || size(cell) > size(before) ? cell : before;
}
function layoutOf(sweep, view) {
	if (view === "strongest") return listLayout(sweep, strongestOf(sweep, () => true, 40), "", (cell) => label(sweep, cell));
	if (view === "sets") {
		const set = axisOf(sweep, "set");
		return listLayout(sweep, strongestOf(sweep, () => true, 60), "set", (cell) => sweep.sets[stepOf(set, cell)]);
	}
	if (view === "pairs") return pairsLayout(sweep);
	if (view === "neurons") return neuronLayout(sweep);
	return gridLayoutOf(sweep, view);
}
function gridLayoutOf(sweep, view) {
	const given = (sweep.maps || []).find((m) => m.name === view) || {}, rowsOf = (keyOf, most) => given.rows ? [...unpack(given.rows)] : strongKeys(sweep, keyOf, most);
	const a = (k) => axisOf(sweep, k), layer = a("layer"), head = a("head") || a("kv_head");
	const position = a("position") || a("query_position");
	const map = {rows: [], columns: [], rowTitle: "layer", columnTitle: "", bold: [], roles: []};
	let rowOf, columnOf, keep = () => true;
	const headKey = (cell) => stepOf(layer, cell) * head.n + stepOf(head, cell);
	const headName = (key) => `L${layer.values[Math.floor(key / head.n)]}${head.kind === "kv_head" ? "KV" : "H"}${head.values[key % head.n]}`;
	const usePositions = (axis) => {
		const p = positionLabels(sweep, axis);
		map.columns = p.labels; map.bold = p.bold; map.roles = p.roles; map.columnTitle = p.title;
		columnOf = (cell) => stepOf(axis, cell);
	};
	if (view === "heads") {
		map.rows = one([...layer.values]);
		rowOf = (cell) => stepOf(layer, cell);
		if (head) { map.columns = one([...head.values]); map.columnTitle = head.kind === "kv_head" ? "KV head" : "head"; columnOf = (cell) => stepOf(head, cell); }
		else { map.columns = [""]; columnOf = () => 0; }
	} else if (view === "row") {
		map.rows = [""]; map.rowTitle = "";
		rowOf = () => 0;
		usePositions(position);
	} else if (view === "layers") {
		map.rows = one([...layer.values]);
		rowOf = (cell) => stepOf(layer, cell);
		usePositions(position);
	} else if (view === "positions") {
		const keys = rowsOf(headKey, 20), place = new Map(keys.map((k, i) => [k, i]));
		map.rows = keys.map(headName); map.rowTitle = "head";
		rowOf = (cell) => place.get(headKey(cell)) ?? -1;
		usePositions(position);
	} else if (view === "pattern") {
		const heads = given.rows ? [...unpack(given.rows)] : null, wanted = state.cell >= 0 ? headKey(state.cell) : 0;
		const chosen = heads && !heads.includes(wanted) ? headKey(strongestOf(sweep, (cell) => heads.includes(headKey(cell)), 1)[0]) : wanted;
		keep = (cell) => headKey(cell) === chosen;
		const queries = positionLabels(sweep, position);
		map.rows = queries.labels; map.rowsBold = queries.bold; map.rowTitle = "query";
		rowOf = (cell) => stepOf(position, cell);
		usePositions(a("key_position")); map.columnTitle = `key, of ${headName(chosen)}` + (heads ? `; in this page: ${heads.map(headName).join(", ")}` : "");
	} else if (view === "senders") {
		const l = a("sender_layer"), h = a("sender_head");
		map.rows = one([...l.values]); map.columns = one([...h.values]); map.columnTitle = "head";
		rowOf = (cell) => stepOf(l, cell); columnOf = (cell) => stepOf(h, cell);
	} else if (view === "paths") {
		const ends = (l, h) => ({
			key: (cell) => (l ? stepOf(l, cell) : 0) * (h ? h.n : 1) + (h ? stepOf(h, cell) : 0),
			name: (key) => l ? (h ? `L${l.values[Math.floor(key / h.n)]}H${h.values[key % h.n]}` : `M${l.values[key]}`) : "embed"});
		const from = ends(a("sender_layer"), a("sender_head")), to = ends(a("receiver_layer"), a("receiver_head") || a("receiver_kv_head"));
		const rows = rowsOf(from.key, 40), columns = given.columns ? [...unpack(given.columns)] : strongKeys(sweep, to.key, 40);
		const r = new Map(rows.map((k, i) => [k, i])), c = new Map(columns.map((k, i) => [k, i]));
		map.rows = rows.map(from.name); map.columns = columns.map(to.name);
		map.rowTitle = "sender"; map.columnTitle = `receiver (${sweep.receiver})`;
		rowOf = (cell) => r.get(from.key(cell)) ?? -1; columnOf = (cell) => c.get(to.key(cell)) ?? -1;
	}
	const n = map.columns.length;
	map.cells = new Int32Array(map.rows.length * n).fill(-1);
	each(sweep, (cell) => {
		const r = rowOf(cell), c = columnOf(cell);
		if (r < 0 || c < 0 || !keep(cell)) return;
		map.cells[r * n + c] = stronger(sweep, cell, map.cells[r * n + c]);
	});
	return map;
}
