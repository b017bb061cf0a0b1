/* The report's page: maps that are explored, the table of cells, the pairs. All numbers come from the
 * JSON element #data, which `patchbay report` wrote from the result file. */
"use strict";
(() => {
document.documentElement.classList.add("js");
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);

/* ---- numbers ---------------------------------------------------------------------------------- */

const KINDS = {f8: Float64Array, f4: Float32Array, i4: Int32Array, u1: Uint8Array};
function unpack(packed) {
	if (!packed) return null;
	if (packed.a) return packed.a;
	const text = atob(packed.d), bytes = new Uint8Array(text.length);
	for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
	packed.a = new KINDS[packed.t](bytes.buffer);
	packed.d = "";
	return packed.a;
}
/* As the tables of the program: four figures, a minus sign that is one. */
function num(x, digits = 4) {
	if (x === undefined || x === null || Number.isNaN(x)) return "–";
	if (x === 0) return "0";
	const size = Math.abs(x);
	const text = size < 1e-4 || size >= 1e6 ? x.toExponential(2) : String(Number(x.toPrecision(digits)));
	return text.replace("-", "−");
}
const interval = (low, high) => Number.isNaN(low) || low === undefined ? "" : ` [${num(low)}, ${num(high)}]`;

/* ---- elements --------------------------------------------------------------------------------- */

function el(name, props = {}, ...children) {
	const node = document.createElement(name);
	for (const [key, value] of Object.entries(props)) {
		if (key === "text") node.textContent = value;
		else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
		else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
	}
	for (const child of children) if (child !== null) node.append(child);
	return node;
}
function select(label, options, value, change) {
	const box = el("select", {onchange: () => change(box.value)});
	for (const [key, text] of options) box.append(el("option", {value: key, text}));
	box.value = value;
	return el("label", {}, label, box);
}

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

const state = {file: 0, sweep: 0, other: "", metric: "restoration", right: false, view: "", cell: -1, pair: 0, sort: "size", down: true, filter: ""};
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

/* ---- views: which cell stands at each place of a map ------------------------------------------------ */

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

/* ---- colours ------------------------------------------------------------------------------------------ */

/* The table of palette.c. */
const RDBU = ["053061", "2166ac", "4393c3", "92c5de", "d1e5f0", "f7f7f7", "fddbc7", "f4a582", "d6604d", "b2182b", "67001f"]
	.map((h) => [0, 2, 4].map((i) => parseInt(h.slice(i, i + 2), 16)));
function diverging(x) {
	const at = (Math.min(1, Math.max(-1, x)) + 1) * 5, i = Math.min(9, Math.floor(at)), part = at - i;
	return RDBU[i].map((a, k) => Math.round(a + part * (RDBU[i + 1][k] - a)));
}
const CATEGORIES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999"];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/* ---- heat maps ------------------------------------------------------------------------------------------ */

const maps = [];
function textOf(sweep, cell, right) {
	if (cell < 0) return "not applicable";
	const f = (name) => figure(sweep, name, cell, right), lines = [label(sweep, cell)];
	const effect = f("effect");
	if (Number.isNaN(effect)) return `${lines[0]}: not applicable`;
	if (sweep.byRestoration) {
		const s = shift(sweep);
		lines.push(`${METRICS.restoration.title(sweep)} ${num(f("restoration") + s)}${interval(f("restoration_ci_low") + s, f("restoration_ci_high") + s)}`);
	}
	lines.push(`effect ${num(effect)}${interval(f("ci_low"), f("ci_high"))} logits`);
	const base = unpack(sweep.noise ? sweep.file.pairs.ld : sweep.file.pairs.ldCorrupted);
	const use = unpack(sweep.file.pairs.right), kept = [...base].filter((x, i) => !right || use[i]);
	if (f("n_pairs") === kept.length) lines.push(`LD ${num(kept.reduce((a, b) => a + b, 0) / kept.length + effect)} (mean of ${kept.length} pairs)`);
	lines.push(`p_fwer ${num(f("p_fwer"), 3)}` + (column(sweep, "p_value", right) ? `, p ${num(f("p_value"), 3)}, q ${num(f("q_bh"), 3)}` : ""));
	return lines.join("\n");
}
class HeatMap {
	constructor(sweep, width, scale) {
		this.sweep = sweep;
		this.layout = layoutOf(sweep, state.view);
		this.scale = scale;
		this.cursor = -1;
		this.canvas = el("canvas", {tabindex: 0, role: "application", "aria-roledescription": "heat map",
			"aria-label": `${sweep.title}: arrow keys move, Enter chooses a cell`,
			onpointermove: (e) => this.hover(e), onpointerleave: () => this.leave(),
			onclick: (e) => this.click(e), onkeydown: (e) => this.key(e), onblur: () => { this.cursor = -1; this.draw(); hideTip(); }});
		this.node = el("div", {class: "map"}, el("h3", {text: (D.files.length > 1 ? `${sweep.file.label}: ` : "") + sweep.title}),
			el("div", {class: "scroll"}, this.canvas));
		this.measure(width);
		this.draw();
	}
	measure(width) {
		const m = this.layout, c = this.canvas.getContext("2d");
		c.font = "12px sans-serif";
		const widest = (list) => Math.min(90, Math.max(0, ...list.map((t) => c.measureText(t).width)));
		this.left = Math.ceil(widest(m.rows)) + 26; /* whole pixels: no seams between places */
		const labels = widest(m.columns);
		const fit = (width - this.left - 12) / m.columns.length;
		this.w = Math.max(7, Math.min(52, Math.floor(fit)));
		this.h = Math.max(9, Math.min(30, m.rows.length > 30 ? 14 : Math.max(18, Math.floor(this.w * 0.7))));
		this.turned = labels > this.w - 3;
		this.rolesBand = m.roles.some((r) => r >= 0) ? 8 : 0;
		this.bottom = (this.turned ? labels + 8 : 18) + this.rolesBand + 20;
		this.top = 4;
		this.barHeight = 40;
		this.width = Math.max(this.left + this.w * m.columns.length + 12, 240);
		this.height = this.top + this.h * m.rows.length + this.bottom + this.barHeight;
		const ratio = window.devicePixelRatio || 1;
		this.canvas.width = Math.ceil(this.width * ratio);
		this.canvas.height = Math.ceil(this.height * ratio);
		this.canvas.style.width = `${this.width}px`;
		this.canvas.style.height = `${this.height}px`;
	}
	colour(value) {
		const x = value / this.scale;
		return METRICS[state.metric].sequential ? diverging(-Math.max(0, x)) : diverging(x);
	}
	draw() {
		const c = this.canvas.getContext("2d"), m = this.layout, n = m.columns.length, ratio = window.devicePixelRatio || 1;
		c.setTransform(ratio, 0, 0, ratio, 0, 0);
		c.clearRect(0, 0, this.width, this.height);
		for (let i = 0; i < m.cells.length; i++) this.place(c, i);
		c.strokeStyle = css("--ink");
		c.lineWidth = 1;
		c.strokeRect(this.left - .5, this.top - .5, this.w * n + 1, this.h * m.rows.length + 1);
		this.labels(c);
		this.bar(c);
		this.focusMarks(c);
	}
	corner(i) {
		const n = this.layout.columns.length;
		return [this.left + this.w * (i % n), this.top + this.h * Math.floor(i / n)];
	}
	place(c, i) {
		const cell = this.layout.cells[i], [x, y] = this.corner(i);
		const value = cell < 0 ? NaN : shown(this.sweep, state.metric, cell, state.right);
		if (Number.isNaN(value)) {
			c.fillStyle = css("--empty");
			c.fillRect(x, y, this.w, this.h);
			c.strokeStyle = "#888";
			c.lineWidth = .6;
			c.beginPath();
			for (let t = 5; t < this.w + this.h; t += 5) {
				c.moveTo(x + Math.max(0, t - this.h), y + Math.min(t, this.h));
				c.lineTo(x + Math.min(t, this.w), y + Math.max(0, t - this.w));
			}
			c.stroke();
			return;
		}
		const rgb = this.colour(value);
		c.fillStyle = `rgb(${rgb})`;
		c.fillRect(x, y, this.w, this.h);
		if (this.w >= 30) {
			c.fillStyle = .299 * rgb[0] + .587 * rgb[1] + .114 * rgb[2] > 140 ? "#000" : "#fff";
			c.font = "10px sans-serif";
			c.textAlign = "center";
			c.textBaseline = "middle";
			const size = Math.abs(value);
			c.fillText((size >= 9.95 ? value.toFixed(0) : size >= .995 ? value.toFixed(1) : value.toFixed(2)).replace("-0.00", "0.00").replace("-", "−"), x + this.w / 2, y + this.h / 2 + .5);
		}
		if (figure(this.sweep, "p_fwer", cell, state.right) < .05) {
			c.strokeStyle = "#000";
			c.lineWidth = 1.5;
			c.strokeRect(x + 1, y + 1, this.w - 2, this.h - 2);
		}
	}
	labels(c) {
		const m = this.layout, below = this.top + this.h * m.rows.length;
		c.fillStyle = css("--ink");
		c.font = "12px sans-serif";
		c.textBaseline = "middle";
		c.textAlign = "right";
		const step = (size, n) => [1, 2, 5, 10, 20, 50, 100].find((s) => s * size >= 14 || s >= n) || 100;
		const rows = step(this.h, m.rows.length);
		m.rows.forEach((t, i) => { if (i % rows === 0) c.fillText(cut(c, t, 90), this.left - 5, this.top + this.h * (i + .5)); });
		const needed = this.turned ? 14 : Math.max(14, ...m.columns.map((t) => c.measureText(t).width + 4));
		const columns = step(this.w * 14 / needed, m.columns.length);
		m.columns.forEach((t, i) => {
			const x = this.left + this.w * (i + .5);
			if (m.roles[i] >= 0) {
				c.fillStyle = CATEGORIES[m.roles[i] % 8];
				c.fillRect(x - this.w / 2, below + 2, this.w, 5);
			}
			if (i % columns) return;
			c.fillStyle = css("--ink");
			c.font = m.bold[i] ? "bold 12px sans-serif" : "12px sans-serif";
			c.save();
			c.translate(x, below + 6 + this.rolesBand);
			if (this.turned) c.rotate(-Math.PI / 2);
			c.textAlign = this.turned ? "right" : "center";
			c.textBaseline = this.turned ? "middle" : "top";
			c.fillText(cut(c, t, 90), 0, 0);
			c.restore();
		});
		c.fillStyle = css("--soft");
		c.font = "12px sans-serif";
		c.textAlign = "left";
		c.textBaseline = "alphabetic";
		c.fillText(m.columnTitle, this.left, below + this.bottom - 6);
		c.save();
		c.translate(11, this.top + this.h * m.rows.length / 2);
		c.rotate(-Math.PI / 2);
		c.textAlign = "center";
		c.fillText(m.rowTitle, 0, 0);
		c.restore();
	}
	bar(c) {
		const y = this.height - this.barHeight + 6, w = Math.min(140, this.width - this.left - 90), sequential = METRICS[state.metric].sequential;
		const low = sequential ? 0 : -this.scale;
		for (let i = 0; i < w; i++) {
			c.fillStyle = `rgb(${this.colour(low + (this.scale - low) * (i + .5) / w)})`;
			c.fillRect(this.left + i, y, 1.2, 9);
		}
		c.fillStyle = css("--ink");
		c.font = "11px sans-serif";
		c.textBaseline = "top";
		[0, .5, 1].forEach((part) => {
			c.textAlign = "center";
			c.fillText(num(low + (this.scale - low) * part, 3), this.left + w * part, y + 12);
		});
		c.textAlign = "left";
		c.textBaseline = "middle";
		c.fillText(METRICS[state.metric].title(this.sweep), this.left + w + 14, y + 5, this.width - this.left - w - 16);
	}
	/* The place of the chosen cell; in a map of another sweep that of the cell of its name. */
	chosen() {
		const now = sweepNow();
		if (this.sweep === now) return this.layout.cells.indexOf(state.cell);
		if (state.cell < 0) return -1;
		const name = label(now, state.cell);
		return this.layout.cells.findIndex((cell) => cell >= 0 && label(this.sweep, cell) === name);
	}
	focusMarks(c) {
		const draw = (i, colour) => {
			if (i < 0) return;
			const [x, y] = this.corner(i);
			c.strokeStyle = colour;
			c.lineWidth = 3;
			c.strokeRect(x - .5, y - .5, this.w + 1, this.h + 1);
		};
		draw(this.chosen(), "#e69f00");
		draw(this.cursor, css("--accent"));
	}
	at(event) {
		const box = this.canvas.getBoundingClientRect(), n = this.layout.columns.length;
		const column = Math.floor((event.clientX - box.left - this.left) / this.w);
		const row = Math.floor((event.clientY - box.top - this.top) / this.h);
		return column < 0 || column >= n || row < 0 || row >= this.layout.rows.length ? -1 : row * n + column;
	}
	hover(event) {
		const i = this.at(event);
		if (i < 0) { this.leave(); return; }
		showTip(textOf(this.sweep, this.layout.cells[i], state.right), event.pageX, event.pageY);
	}
	leave() { hideTip(); }
	choose(i) {
		if (i < 0 || this.layout.cells[i] < 0) return;
		const cell = this.layout.cells[i];
		if (this.sweep !== sweepNow()) { /* the other map becomes the first */
			const focused = document.activeElement === this.canvas;
			state.other = `${state.file}.${state.sweep}`;
			choose(D.files.indexOf(this.sweep.file), this.sweep.file.sweeps.indexOf(this.sweep));
			if (focused && maps[0]) maps[0].canvas.focus();
		}
		state.cell = cell;
		maps.forEach((map) => map.draw());
		drawTable();
		drawDetail();
	}
	click(event) { this.choose(this.at(event)); }
	key(event) {
		const n = this.layout.columns.length, moves = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -n, ArrowDown: n};
		if (event.key in moves) {
			event.preventDefault();
			const from = this.cursor >= 0 ? this.cursor : Math.max(0, this.layout.cells.indexOf(state.cell));
			const to = this.cursor >= 0 ? from + moves[event.key] : from;
			const sameRow = Math.abs(moves[event.key]) !== 1 || Math.floor(to / n) === Math.floor(from / n);
			if (to >= 0 && to < this.layout.cells.length && sameRow) this.cursor = to;
			const text = textOf(this.sweep, this.layout.cells[this.cursor], state.right), [x, y] = this.corner(this.cursor), box = this.canvas.getBoundingClientRect();
			$("said").textContent = text.replace(/\n/g, "; ");
			showTip(text, box.left + window.scrollX + x + this.w, box.top + window.scrollY + y + this.h);
			this.draw();
		} else if (event.key === "Enter" || event.key === " ") {
			event.preventDefault();
			this.choose(this.cursor);
		} else if (event.key === "Escape") {
			this.cursor = -1;
			hideTip();
			this.draw();
		}
	}
}
function cut(c, text, width) {
	if (c.measureText(text).width <= width) return text;
	let n = text.length;
	while (n > 1 && c.measureText(text.slice(0, n) + "…").width > width) n--;
	return text.slice(0, n) + "…";
}
function showTip(text, x, y) {
	const tip = $("tip");
	tip.textContent = text;
	tip.hidden = false;
	const room = document.documentElement.clientWidth;
	const left = Math.min(x + 14, window.scrollX + room - tip.offsetWidth - 6);
	tip.style.left = `${Math.max(window.scrollX + 4, left)}px`;
	tip.style.top = `${y + 16}px`;
}
function hideTip() { $("tip").hidden = true; }

/* ---- controls ---------------------------------------------------------------------------------------- */

function drawControls() {
	const s = sweepNow(), form = $("controls"), all = [];
	D.files.forEach((file, f) => file.sweeps.forEach((sweep, k) => all.push([`${f}.${k}`, (D.files.length > 1 ? `${file.label}: ` : "") + sweep.title])));
	const focused = document.activeElement && document.activeElement.name;
	form.replaceChildren(
		select("sweep", all, `${state.file}.${state.sweep}`, (v) => choose(...v.split(".").map(Number))),
		select("beside it", [["", "nothing"], ...all.filter((o) => o[0] !== `${state.file}.${state.sweep}`)], state.other, (v) => { state.other = v; draw(); }),
		select("map", viewsOf(s).length ? viewsOf(s) : [["", "none: see the table"]], state.view, (v) => { state.view = v; draw(); }),
		select("number", metricsOf(s).map((m) => [m, METRICS[m].title(s)]), state.metric, (v) => { state.metric = v; draw(); }),
		select("over", [["all", "all pairs"], ["right", "pairs the model is right about"]], state.right ? "right" : "all", (v) => { state.right = v === "right"; draw(); }));
	["sweep", "other", "view", "metric", "over"].forEach((name, i) => { form.querySelectorAll("select")[i].name = name; });
	const opposite = all.find((o) => { const [f, k] = o[0].split(".").map(Number), t = D.files[f].sweeps[k]; return f === state.file && t.noise !== s.noise && t.title.replace(/denoise|noise/, "") === s.title.replace(/denoise|noise/, ""); });
	if (opposite) form.append(el("div", {class: "field"}, "direction", el("button", {type: "button", id: "flip", text: s.noise ? "noise → denoise" : "denoise → noise", onclick: () => choose(...opposite[0].split(".").map(Number))})));
	if (focused && form.elements[focused]) form.elements[focused].focus();
}
function drawMaps() {
	const box = $("maps"), sweeps = [sweepNow()];
	if (state.other) { const [f, k] = state.other.split(".").map(Number); sweeps.push(D.files[f].sweeps[k]); }
	maps.length = 0;
	box.replaceChildren();
	const fit = sweeps.filter((s) => viewsOf(s).some((v) => v[0] === state.view) && metricsOf(s).includes(state.metric));
	if (!fit.length) {
		box.append(el("p", {class: "note", text: "This sweep has no map here: its strongest cells are in the table, and its figures are below."}));
		return;
	}
	if (fit.length < sweeps.length) box.append(el("p", {class: "note", text: "The other sweep has no such map."}));
	/* One scale for all. */
	let scale = 0;
	for (const s of fit) each(s, (cell) => { const x = Math.abs(shown(s, state.metric, cell, state.right)); if (x > scale && Number.isFinite(x)) scale = x; });
	const width = box.clientWidth;
	for (const s of fit) {
		const map = new HeatMap(s, fit.length > 1 && width > 800 ? width / 2 - 24 : width - 6, scale || 1);
		maps.push(map);
		box.append(map.node);
	}
	if (state.right && !sweepNow().right) box.append(el("p", {class: "note", text: "Figures over the right pairs are not in this page for so large a sweep; these are over all pairs."}));
}

/* ---- the table of cells -------------------------------------------------------------------------------- */

const COLUMNS = [["effect", "effect"], ["ci_low", "low"], ["ci_high", "high"], ["restoration", "restoration"], ["p_value", "p"], ["p_fwer", "p_fwer"], ["q_bh", "q"], ["n_pairs", "pairs"]];
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
	const s = sweepNow(), table = $("cells"), {unknown, keep} = matcher(state.filter, s), cells = [];
	const columns = COLUMNS.filter(([name]) => column(s, name, state.right));
	each(s, (cell) => { if (!Number.isNaN(figure(s, "effect", cell, state.right)) && keep(cell)) cells.push(cell); });
	const value = (cell) => state.sort === "size" ? Math.abs(figure(s, "effect", cell, state.right)) : state.sort === "cell" ? -cell : figure(s, state.sort, cell, state.right);
	const order = (x) => Number.isNaN(x) ? -Infinity : x;
	cells.sort((a, b) => (state.down ? order(value(b)) - order(value(a)) : order(value(a)) - order(value(b))) || a - b);
	$("count").textContent = (unknown.length ? `not a number of this table: ${unknown.join(" ")}; ` : "") + `${cells.length} of ${s.cells} cells` + (cells.length > ROWS ? `, the first ${ROWS} shown` : "") + (s.index ? ` (the ${s.index.length} strongest are in this page)` : "");
	const heads = [["", "#"], ["cell", "cell"], ...columns].map(([name, text]) => {
		const sorted = name === state.sort || (name === "effect" && state.sort === "size");
		const head = el("th", {scope: "col", "aria-sort": sorted && name ? (state.down ? "descending" : "ascending") : null});
		if (!name) { head.textContent = "#"; head.style.padding = ".3rem .6rem"; return head; }
		const title = name === "effect" && state.sort === "size" ? "effect, by size" : name === "restoration" ? METRICS.restoration.title(s) : text;
		head.append(el("button", {type: "button", "data-sort": name, text: title + (sorted ? (state.down ? " ▾" : " ▴") : ""), onclick: () => {
			const next = name === "effect" && state.sort === "effect" && !state.down ? "size" : name;
			state.down = next === state.sort ? !state.down : next !== "p_value" && next !== "p_fwer" && next !== "q_bh";
			state.sort = next;
			drawTable();
			const again = table.querySelector(`[data-sort="${name}"]`);
			if (again) again.focus();
		}}));
		return head;
	});
	const body = el("tbody");
	cells.slice(0, ROWS).forEach((cell, i) => {
		const row = el("tr", {class: cell === state.cell ? "on" : null, "data-cell": cell, onclick: () => pick(cell)},
			el("td", {text: String(i + 1)}), el("td", {}, el("button", {type: "button", text: label(s, cell)})));
		for (const [name] of columns) {
			const x = figure(s, name, cell, state.right) + (name === "restoration" ? shift(s) : 0);
			row.append(el("td", {text: num(x)}));
		}
		body.append(row);
	});
	table.replaceChildren(el("thead", {}, el("tr", {}, ...heads)), body);
}
function pick(cell) {
	state.cell = cell;
	if (state.view === "pattern") drawMaps(); else maps.forEach((map) => map.draw());
	$("cells").querySelectorAll("tr.on").forEach((row) => row.classList.remove("on"));
	$("cells").querySelectorAll(`tr[data-cell="${cell}"]`).forEach((row) => row.classList.add("on"));
	drawDetail();
}

/* ---- one cell ------------------------------------------------------------------------------------------ */

const SVG = "http://www.w3.org/2000/svg";
function svg(name, props, ...children) {
	const node = document.createElementNS(SVG, name);
	for (const [key, value] of Object.entries(props)) node.setAttribute(key, value);
	for (const child of children) node.append(child);
	return node;
}
/* Values as dots or bars with a zero line; points: {x label, y, title, on}. */
function chart(points, options) {
	const W = 460, H = 190, L = 62, B = 34, T = 8, inner = W - L - 8;
	const ys = points.map((p) => p.y).filter(Number.isFinite), low = Math.min(0, ...ys), high = Math.max(0, ...ys), range = high - low || 1;
	const Y = (v) => T + (H - B - T) * (1 - (v - low) / range), X = (i) => L + inner * (i + .5) / points.length;
	const root = svg("svg", {viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": options.title});
	const text = (x, y, t, anchor = "middle") => svg("text", {x, y, "text-anchor": anchor, "font-size": 11, fill: "currentColor"}, t);
	root.append(svg("line", {x1: L, x2: W - 8, y1: Y(0), y2: Y(0), stroke: "currentColor", "stroke-width": .7}));
	new Set([low, 0, high]).forEach((v) => { if (v === 0 || Math.abs(v) > range * .08) root.append(text(L - 4, Y(v) + 4, num(v, 3), "end")); });
	points.forEach((p, i) => {
		if (!Number.isFinite(p.y)) return;
		const mark = options.bars
			? svg("rect", {x: X(i) - Math.max(1, inner / points.length * .35), width: Math.max(1.5, inner / points.length * .7), y: Math.min(Y(0), Y(p.y)), height: Math.max(.7, Math.abs(Y(p.y) - Y(0))), fill: p.y < 0 ? "#2166ac" : "#b2182b"})
			: svg("circle", {cx: X(i), cy: Y(p.y), r: p.on ? 6 : Math.max(2.2, Math.min(4, 140 / points.length)), fill: p.on ? "#e69f00" : p.colour || "#0072b2"});
		if (p.pair !== undefined) { mark.setAttribute("data-pair", p.pair); mark.style.cursor = "pointer"; mark.addEventListener("click", () => { state.pair = p.pair; drawPair(); drawDetail(); }); }
		mark.append(svg("title", {}, p.title));
		root.append(mark);
	});
	if (options.labels && points.length <= 60) {
		const every = Math.ceil(points.length / 24);
		points.forEach((p, i) => { if (i % every === 0) { const t = text(X(i), H - B + 12, p.x.length > 7 ? p.x.slice(0, 6) + "…" : p.x, "end"); t.setAttribute("transform", `rotate(-45 ${X(i)} ${H - B + 12})`); t.setAttribute("font-size", 9); root.append(t); } });
	} else root.append(text(L + inner / 2, H - 10, options.x));
	return root;
}
function pairValues(s, cell) {
	const raw = unpack(s.raw), n = s.file.pairs.n;
	if (!raw) return null;
	return Array.from({length: n}, (_, i) => raw[i * s.cells + cell]);
}
function facts(s, cell) {
	const table = el("table", {}, el("thead", {}, el("tr", {}, el("th"), el("th", {scope: "col", text: "all pairs"}), s.right ? el("th", {scope: "col", text: "right pairs"}) : null)));
	const body = el("tbody");
	const line = (head, f) => body.append(el("tr", {}, el("th", {scope: "row", text: head}), el("td", {text: f(false)}), s.right ? el("td", {text: f(true)}) : null));
	const v = (name, right) => figure(s, name, cell, right), move = shift(s);
	line("effect", (r) => num(v("effect", r)) + interval(v("ci_low", r), v("ci_high", r)));
	if (s.byRestoration) line(METRICS.restoration.title(s), (r) => num(v("restoration", r) + move) + interval(v("restoration_ci_low", r) + move, v("restoration_ci_high", r) + move));
	for (const [name, text] of [["stderr", "standard error"], ["p_value", "p"], ["p_fwer", "p_fwer"], ["q_bh", "q_bh"], ["n_pairs", "pairs"]])
		if (column(s, name, false)) line(text, (r) => num(v(name, r)));
	table.append(body);
	return table;
}
/* The same head in a sweep by position. */
function besidePositions(s, cell) {
	const layer = valueOf(s, "layer", cell), head = valueOf(s, "head", cell) ?? valueOf(s, "kv_head", cell);
	const of = [s, ...s.file.sweeps].find((t) => (axisOf(t, "position") || axisOf(t, "query_position")) && !axisOf(t, "key_position") && !t.index && t.site === s.site && t.noise === s.noise && axisOf(t, "layer") && !axisOf(t, "alpha"));
	if (!of || layer === undefined) return null;
	const axis = axisOf(of, "position") || axisOf(of, "query_position"), names = positionLabels(of, axis), points = [];
	each(of, (c) => {
		if (valueOf(of, "layer", c) !== layer || (valueOf(of, "head", c) ?? valueOf(of, "kv_head", c)) !== head) return;
		const i = stepOf(axis, c), metric = of.byRestoration ? "restoration" : "effect", y = shown(of, metric, c, state.right);
		points.push({x: names.labels[i], y, title: `${names.labels[i]} (${num(axis.values[i])}): ${num(y)}`});
	});
	return points.length ? el("div", {}, el("h3", {text: `By position (${of.title})`}), chart(points, {bars: true, labels: true, x: names.title, title: "by position"})) : null;
}
function drawDetail() {
	const s = sweepNow(), box = $("detail"), cell = state.cell;
	if (cell < 0) { box.replaceChildren(); return; }
	const parts = [el("div", {}, el("h3", {id: "chosen", text: label(s, cell)}), facts(s, cell))];
	const values = pairValues(s, cell);
	if (values) {
		const right = unpack(s.file.pairs.right), base = unpack(s.noise ? s.file.pairs.ld : s.file.pairs.ldCorrupted);
		const order = values.map((y, pair) => ({y, pair})).filter((p) => !Number.isNaN(p.y) && (!state.right || right[p.pair])).sort((a, b) => a.y - b.y);
		parts.push(el("div", {}, el("h3", {text: "Effect in each pair"}), chart(order.map((p) => ({y: p.y, pair: p.pair, on: p.pair === state.pair, colour: right[p.pair] ? "#0072b2" : "#999999",
			title: `pair ${p.pair}: effect ${num(p.y)}, LD ${num(base[p.pair] + p.y)}${right[p.pair] ? "" : " (not a right pair)"}`})), {x: `${order.length} pairs, by their effect (grey: not right); click one to read it`, title: "effect in each pair"})));
	} else parts.push(el("div", {}, el("h3", {text: "Effect in each pair"}), el("p", {class: "note", text: `Not in this page: see logit_diff of sweeps/${s.name} in the file.`})));
	const positions = besidePositions(s, cell);
	if (positions) parts.push(positions);
	for (const more of readingsOf(s, cell)) parts.push(more);
	box.replaceChildren(...parts);
}
/* What the file's readings say of a head. */
function readingsOf(s, cell) {
	const file = s.file, layer = valueOf(s, "layer", cell) ?? valueOf(s, "sender_layer", cell), head = valueOf(s, "head", cell) ?? valueOf(s, "sender_head", cell), out = [];
	if (layer === undefined || head === undefined || !file.readings) return out;
	const at = layer * file.heads + head, table = el("table"), body = el("tbody");
	for (const r of file.readings.heads) body.append(el("tr", {}, el("th", {scope: "row", text: r.name}), el("td", {text: num(unpack(r.values)[at])})));
	table.append(body);
	if (body.children.length) out.push(el("div", {}, el("h3", {text: "What the head reads and writes"}), table));
	const pattern = (file.readings.patterns || []).find((p) => p.layer === layer && p.head === head);
	if (pattern) out.push(el("div", {}, el("h3", {text: "Its attention, clean prompt of the first pair"}), patternChart(file, pattern)));
	return out;
}
function patternChart(file, pattern) {
	const n = pattern.n, values = unpack(pattern.values), W = 460, L = 60, size = (W - L - 4) / n, tokens = unpack(file.pairs.clean);
	const root = svg("svg", {viewBox: `0 0 ${W} ${L + size * n + 4}`, role: "img", "aria-label": "attention pattern"});
	const name = (i) => tokenText(file, tokens[i]);
	for (let q = 0; q < n; q++) for (let k = 0; k <= q; k++) {
		const v = values[q * n + k] / 255;
		const cell = svg("rect", {x: L + k * size, y: L + q * size, width: size, height: size, fill: `rgb(${diverging(-v)})`});
		cell.append(svg("title", {}, `${name(q)} (${q}) reads ${name(k)} (${k}): ${num(v, 2)}`));
		root.append(cell);
	}
	const every = Math.ceil(9 / size);
	for (let i = 0; i < n; i += every) {
		const t = (x, y, turn) => { const node = svg("text", {x, y, "font-size": Math.min(9, size * every), "text-anchor": turn ? "start" : "end", fill: "currentColor"}, name(i).slice(0, 9)); if (turn) node.setAttribute("transform", `rotate(-90 ${x} ${y})`); root.append(node); };
		t(L - 3, L + (i + .8) * size, false);
		t(L + (i + .8) * size, L - 3, true);
	}
	return root;
}

/* ---- pairs ------------------------------------------------------------------------------------------ */

function drawPair() {
	const file = D.files[state.file], pairs = file.pairs, box = $("pair"), k = state.pair;
	if (!pairs) { box.replaceChildren(el("p", {class: "note", text: "An evaluation has no pairs."})); return; }
	const right = unpack(pairs.right), n = unpack(pairs.length)[k], tokens = [unpack(pairs.clean), unpack(pairs.corrupted)];
	const go = (to) => { state.pair = Math.max(0, Math.min(pairs.n - 1, to)); drawPair(); drawDetail(); };
	const number = el("input", {type: "number", id: "pair-number", min: 0, max: pairs.n - 1, value: k, onchange: () => go(Number(number.value) || 0)});
	const parts = [el("p", {}, el("button", {type: "button", text: "←", "aria-label": "previous pair", onclick: () => go(k - 1)}), " ",
		el("label", {}, "pair ", number), ` of ${pairs.n} `, el("button", {type: "button", text: "→", "aria-label": "next pair", onclick: () => go(k + 1)}),
		` ${right[k] ? "the model is right about it" : "the model is not right about it"}; LD clean ${num(unpack(pairs.ld)[k])}, corrupted ${num(unpack(pairs.ldCorrupted)[k])}; answer “${tokenText(file, unpack(pairs.answer)[k])}”, foil “${tokenText(file, unpack(pairs.foil)[k])}”`)];
	if (k >= pairs.shown) parts.push(el("p", {class: "note", text: `Tokens of the first ${pairs.shown} pairs are in this page; those of this one are in the file.`}));
	else ["clean", "corrupted"].forEach((side, t) => {
		const line = el("div", {class: "tokens", id: `tokens-${side}`}), roles = unpack(pairs.roles);
		for (let i = 0; i < n; i++) {
			const at = k * pairs.positions + i, id = tokens[t][at], differs = tokens[0][at] !== tokens[1][at];
			const role = roles && roles[at] >= 0 ? roles[at] : -1;
			const token = el("span", {class: differs ? "tok diff" : "tok", title: `position ${i}, id ${id}` + (role >= 0 ? `, ${pairs.roleNames[role]}` : "") + (differs ? ", differs" : ""), text: tokenText(file, id)});
			if (role >= 0) token.style.borderBottomColor = CATEGORIES[role % 8];
			line.append(token, "\u200b");
		}
		parts.push(el("h3", {text: side}), line);
	});
	if (pairs.roleNames) parts.push(el("p", {class: "legend"}, ...pairs.roleNames.map((name, i) => { const mark = el("i"); mark.style.background = CATEGORIES[i % 8]; return el("span", {}, mark, name); })));
	box.replaceChildren(...parts);
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

function draw() {
	drawControls();
	drawMaps();
	drawTable();
	drawDetail();
	drawPair();
}
$("controls").addEventListener("submit", (e) => e.preventDefault());
$("filter").addEventListener("input", () => { state.filter = $("filter").value; drawTable(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
matchMedia("print").addEventListener("change", () => maps.forEach((map) => map.draw()));
let width = window.innerWidth;
window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; drawMaps(); } });
const first = D.files.findIndex((file) => file.sweeps.length);
if (first >= 0) choose(first, 0);
else document.documentElement.classList.remove("js");
window.patchbay = {state, maps, choose, shown};
})();
