/* Files and sweeps: columns, labels of cells, the numbers that maps show, what is chosen. */
/* ---- files and sweeps -------------------------------------------------------------------------- */

for (const file of D.files) {
	for (const sweep of file.sweeps) {
		sweep.file = file;
		sweep.index = unpack(sweep.index);
		sweep.at = null; /* cell -> place in the columns */
		if (sweep.index) {
			sweep.at = new Map();
			sweep.index.forEach((cell, i) => sweep.at.set(cell, i));
		}
		let stride = sweep.cells;
		for (const axis of sweep.axes) {
			axis.values = unpack(axis.values);
			axis.n = axis.values.length;
			stride /= axis.n;
			axis.stride = stride;
		}
	}
}
const axisOf = (sweep, kind) => sweep.axes.find((a) => a.kind === kind);
const stepOf = (axis, cell) => Math.floor(cell / axis.stride) % axis.n;
const valueOf = (sweep, kind, cell) => { const a = axisOf(sweep, kind); return a ? a.values[stepOf(a, cell)] : undefined; };
function column(sweep, name, right) {
	const columns = right && sweep.right ? sweep.right : sweep.all;
	return columns && columns[name] ? unpack(columns[name]) : null;
}
function figure(sweep, name, cell, right) {
	const values = column(sweep, name, right), at = sweep.at ? sweep.at.get(cell) : cell;
	return values && at !== undefined ? values[at] : NaN;
}
const shift = (sweep) => sweep.noise ? -1 : 0;
const METRICS = {
	restoration: {title: (s) => s.noise ? "restoration − 1" : "restoration", low: "restoration_ci_low", high: "restoration_ci_high"},
	effect: {title: () => "effect (logits)", low: "ci_low", high: "ci_high"},
	stderr: {title: () => "standard error of the effect", sequential: true},
	p_fwer: {title: () => "−log10 p_fwer", sequential: true},
	n_pairs: {title: () => "pairs", sequential: true},
};
function shown(sweep, metric, cell, right) {
	const x = figure(sweep, metric, cell, right);
	if (metric === "restoration") return x + shift(sweep);
	return metric === "p_fwer" ? -Math.log10(x) : x;
}
function metricsOf(sweep) {
	return Object.keys(METRICS).filter((m) => (m !== "restoration" || sweep.byRestoration) && sweep.all && sweep.all[m]);
}

function label(sweep, cell) {
	const v = (kind) => valueOf(sweep, kind, cell);
	const head = v("head") ?? v("kv_head"), parts = [];
	const kv = v("kv_head") !== undefined ? "KV" : "H";
	if (v("alpha") !== undefined) parts.push(`alpha ${v("alpha")}`);
	if (v("set") !== undefined) parts.push(sweep.sets ? sweep.sets[v("set")] : `set ${v("set")}`);
	if (v("layer") !== undefined) parts.push(`L${v("layer")}` + (head !== undefined ? `${kv}${head}` : v("neuron") !== undefined ? ` neuron ${v("neuron")}` : ""));
	if (sweep.intervention === "path") {
		const end = (l, h, none) => l === undefined ? none : h === undefined ? `M${l}` : `L${l}H${h}`;
		const to = end(v("receiver_layer"), v("receiver_head") ?? v("receiver_kv_head"), sweep.receiver);
		const letter = "qkv".includes(sweep.receiver) ? "." + sweep.receiver : "";
		parts.push(`${end(v("sender_layer"), v("sender_head"), "embed")} → ${to}${letter}`);
	}
	if (v("position") !== undefined) parts.push(`at ${num(v("position"))}`);
	if (v("query_position") !== undefined) parts.push(`query ${num(v("query_position"))}`);
	if (v("key_position") !== undefined) parts.push(`key ${num(v("key_position"))}`);
	return parts.join(" ") || "the whole";
}

/* ---- state --------------------------------------------------------------------------------------- */

const state = {file: 0, sweep: 0, other: "", metric: "restoration", right: false, view: "", cell: -1, pair: 0, order: {by: "size", down: true}, filter: ""};
const sweepNow = () => D.files[state.file].sweeps[state.sweep];
function choose(file, sweep) {
	state.file = file;
	state.sweep = sweep;
	const s = sweepNow(), metrics = metricsOf(s), views = viewsOf(s);
	if (!metrics.includes(state.metric)) state.metric = metrics[0];
	if (!views.some((v) => v[0] === state.view)) state.view = views.length ? views[0][0] : "";
	state.cell = strongest(s);
	if (s.file.pairs) state.pair = Math.min(state.pair, s.file.pairs.n - 1);
	draw();
}
function strongest(sweep) {
	let best = -1, most = -1;
	each(sweep, (cell) => {
		const size = Math.abs(figure(sweep, "effect", cell, false));
		if (size > most) { most = size; best = cell; }
	});
	return best;
}
function each(sweep, f) {
	if (sweep.index) sweep.index.forEach((cell) => f(cell));
	else for (let cell = 0; cell < sweep.cells; cell++) f(cell);
}
