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
		if (sweep.setSources) sweep.setSources = sweep.setSources.flatMap(([source, n]) => Array(n).fill(source));
		sweep.hasControls = Boolean(sweep.setSources && new Set(sweep.setSources).size > 1 && sweep.setSources.includes("random"));
		/* Other metrics are columns like the others, and say what they are. */
		sweep.others = new Map();
		for (const m of sweep.metrics) {
			sweep.others.set(m.name, m);
			sweep.all[m.name] = m.all;
			if (m.right && sweep.right) sweep.right[m.name] = m.right;
		}
		unpackAxes(sweep);
	}
}
const axisOf = (sweep, kind) => sweep.axes.find((a) => a.kind === kind);
const stepOf = (axis, cell) => Math.floor(cell / axis.stride) % axis.n;
const valueOf = (sweep, kind, cell) => { const a = axisOf(sweep, kind); return a ? a.values[stepOf(a, cell)] : undefined; };
/* A random set beside others: what they are compared with, and no finding. */
const isControl = (sweep, cell) => sweep.hasControls && sweep.setSources[stepOf(axisOf(sweep, "set"), cell)] === "random";
const hasRight = (sweep, name) => Boolean(sweep.right && sweep.right[name]);
/* Over the right pairs where the page has them, else over all. */
function column(sweep, name, right) {
	const columns = right && hasRight(sweep, name) ? sweep.right : sweep.all;
	return columns && columns[name] ? unpack(columns[name]) : null;
}
function figure(sweep, name, cell, right) {
	const values = column(sweep, name, right), at = sweep.at ? sweep.at.get(cell) : cell;
	return values && at < values.length ? values[at] : NaN; /* not all cells have all columns */
}
/* A cell's mean of another metric, and the base runs': "0.91 (without intervention: clean 0.95 ...)". */
function otherText(sweep, name, cell, right) {
	const m = sweep.others.get(name), base = ["clean", "corrupted"].filter((side) => m.base && m.base[side]);
	const what = right && !hasRight(sweep, name) ? ", over all pairs" : "";
	return `${m.title}: ${num(figure(sweep, name, cell, right))}${unitOf(m.units)}${what}`
		+ (base.length ? ` (without intervention: ${base.map((side) => `${side} ${num(unpack(m.base[side])[right ? 1 : 0])}`).join(", ")})` : "");
}
/* How a set stands among the random ones of its size. */
const RANK = "p_random_effect";
function rankText(sweep, cell, right) {
	const p = figure(sweep, RANK, cell, right);
	return Number.isNaN(p) ? "no random sets of its size" : `p among random sets of its size ${num(p, 3)}`;
}
const unitOf = (units) => units === "1" ? "" : units === "logit" ? " logits" : units === "nat" ? " nats" : ` ${units}`;
const shift = (sweep) => sweep.noise ? -1 : 0;
const METRICS = {
	restoration: {title: (s) => s.noise ? "restoration − 1" : "restoration", low: "restoration_ci_low", high: "restoration_ci_high"},
	effect: {title: () => "effect (logits)", low: "ci_low", high: "ci_high"},
	stderr: {title: () => "standard error of the effect", sequential: true},
	p_fwer: {title: () => "−log10 p_fwer", sequential: true},
	n_pairs: {title: () => "pairs", sequential: true},
};
/* What is known of a number that maps show: its title, and whether its scale has no negative side;
 * that of another metric is where its values are. */
function metricOf(sweep, name) {
	const m = sweep.others.get(name);
	return METRICS[name] || {title: () => m.title + (m.units === "1" ? "" : ` (${unitOf(m.units).trim()})`), anywhere: true};
}
/* The ends of a scale for these values: around 0 where both signs can be, else from 0, or from the
 * least where all are below 0. */
function scaleOf(values, {sequential, anywhere}) {
	let low = Infinity, high = -Infinity;
	for (const x of values) if (Number.isFinite(x)) { low = Math.min(low, x); high = Math.max(high, x); }
	if (low > high) return [0, 1];
	if (anywhere && high <= 0 && low < 0) return [low, high];
	if (sequential || (anywhere && low >= 0)) return [0, high > 0 ? high : 1];
	const most = Math.max(-low, high);
	return [-(most || 1), most || 1];
}
function shown(sweep, metric, cell, right) {
	const x = figure(sweep, metric, cell, right);
	if (metric === "restoration") return x + shift(sweep);
	return metric === "p_fwer" ? -Math.log10(x) : x;
}
function metricsOf(sweep) {
	return Object.keys(METRICS).filter((m) => (m !== "restoration" || sweep.byRestoration) && sweep.all && sweep.all[m]).concat([...sweep.others.keys()]);
}

/* As the tables and the summary name cells (pb_grid_label): M is an MLP. */
function label(sweep, cell) {
	const v = (kind) => valueOf(sweep, kind, cell);
	const head = v("head") ?? v("kv_head"), parts = [];
	const kv = v("kv_head") !== undefined ? "KV" : "H";
	if (v("alpha") !== undefined) parts.push(`alpha ${v("alpha")}`);
	if (v("set") !== undefined) parts.push(sweep.sets ? sweep.sets[v("set")] : `set ${v("set")}`);
	const block = v("neuron") !== undefined || (head === undefined && ["mlp_post", "mlp_out"].includes(sweep.site)) ? "M" : "L";
	if (v("layer") !== undefined) parts.push(`${block}${v("layer")}` + (head !== undefined ? `${kv}${head}` : v("neuron") !== undefined ? ` neuron ${v("neuron")}` : ""));
	else if (v("set") === undefined && sweep.intervention !== "path") parts.push(sweep.site);
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

/* The cell of another sweep that has the name of this one's, -1 without one. */
function sameCell(sweep, cell, other) {
	if (cell < 0) return -1;
	const name = label(sweep, cell);
	let found = -1;
	each(other, (c) => { if (found < 0 && label(other, c) === name) found = c; });
	return found;
}

/* ---- state --------------------------------------------------------------------------------------- */

const state = {file: 0, sweep: 0, other: "", metric: "restoration", right: false, view: "", cell: -1, pair: 0, order: {by: "size", down: true}, filter: "", controls: false};
const sweepNow = () => D.files[state.file].sweeps[state.sweep];
const otherNow = () => { const [f, k] = state.other.split(".").map(Number); return state.other ? D.files[f].sweeps[k] : null; };
/* What names a sweep among all of the page. */
const nameOf = (sweep) => (D.files.length > 1 ? `${sweep.file.label}: ` : "") + sweep.title;
/* The other file's sweep of the same title, "" without one. */
function counterpart(sweep, file) {
	const k = D.files[file].sweeps.findIndex((t) => t.title === sweep.title);
	return k < 0 ? "" : `${file}.${k}`;
}
/* The sweep beside it follows where it is the same one of another file. */
function choose(file, sweep) {
	const was = otherNow();
	if (was && was.file !== sweepNow().file && was.title === sweepNow().title && D.files.indexOf(was.file) !== file)
		state.other = counterpart(D.files[file].sweeps[sweep], D.files.indexOf(was.file)) || state.other;
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
		const size = isControl(sweep, cell) ? -1 : Math.abs(figure(sweep, "effect", cell, false));
		if (size > most) { most = size; best = cell; }
	});
	return best;
}
function each(sweep, f) {
	if (sweep.index) sweep.index.forEach((cell) => f(cell));
	else for (let cell = 0; cell < sweep.cells; cell++) f(cell);
}
