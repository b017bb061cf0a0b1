/* Views: which cell stands at each place of a map. */
function viewsOf(sweep) {
	const has = (k) => axisOf(sweep, k), head = has("head") || has("kv_head"), views = [];
	if (sweep.index) return views;
	if (sweep.intervention === "path") {
		if (has("receiver_layer")) views.push(["paths", "sender × receiver"]);
		else if (has("sender_head")) views.push(["senders", "layer × head"]);
		return views;
	}
	if (has("layer") && !has("neuron")) {
		if (head || !(has("position") || has("query_position"))) views.push(["heads", head ? "layer × head" : "layer"]);
		if (has("key_position")) views.push(["pattern", "query × key of a head"]);
		else if (has("position") || has("query_position")) {
			views.push(["layers", "layer × position"]);
			if (head) views.push(["positions", "head × position"]);
		}
	}
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
function layoutOf(sweep, view) {
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
	} else if (view === "layers") {
		map.rows = one([...layer.values]);
		rowOf = (cell) => stepOf(layer, cell);
		usePositions(position);
	} else if (view === "positions") {
		const keys = strongKeys(sweep, headKey, 20), place = new Map(keys.map((k, i) => [k, i]));
		map.rows = keys.map(headName); map.rowTitle = "head";
		rowOf = (cell) => place.get(headKey(cell)) ?? -1;
		usePositions(position);
	} else if (view === "pattern") {
		const chosen = state.cell >= 0 ? headKey(state.cell) : 0;
		keep = (cell) => headKey(cell) === chosen;
		map.rows = positionLabels(sweep, position).labels; map.rowTitle = "query";
		rowOf = (cell) => stepOf(position, cell);
		usePositions(a("key_position")); map.columnTitle = `key, of ${headName(chosen)}`;
	} else if (view === "senders") {
		const l = a("sender_layer"), h = a("sender_head");
		map.rows = one([...l.values]); map.columns = one([...h.values]); map.columnTitle = "head";
		rowOf = (cell) => stepOf(l, cell); columnOf = (cell) => stepOf(h, cell);
	} else if (view === "paths") {
		const ends = (l, h) => ({
			key: (cell) => (l ? stepOf(l, cell) : 0) * (h ? h.n : 1) + (h ? stepOf(h, cell) : 0),
			name: (key) => l ? (h ? `L${l.values[Math.floor(key / h.n)]}H${h.values[key % h.n]}` : `M${l.values[key]}`) : "embed"});
		const from = ends(a("sender_layer"), a("sender_head")), to = ends(a("receiver_layer"), a("receiver_head") || a("receiver_kv_head"));
		const rows = strongKeys(sweep, from.key, 40), columns = strongKeys(sweep, to.key, 40);
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
		const at = r * n + c, before = map.cells[at];
		const size = (x) => { const e = Math.abs(figure(sweep, "effect", x, state.right)); return Number.isNaN(e) ? -1 : e; };
		if (before < 0 || size(cell) > size(before)) map.cells[at] = cell;
	});
	return map;
}
