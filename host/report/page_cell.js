/* One cell. */
/* Values as dots or bars with a zero line; points: {x label, y, title, on}. */
function chart(points, options) {
	const W = 460, H = 190, L = 62, B = 34, T = 8, inner = W - L - 8;
	const ys = points.map((p) => p.y).filter(Number.isFinite), low = Math.min(0, ...ys), high = Math.max(0, ...ys), range = high - low || 1;
	const Y = (v) => T + (H - B - T) * (1 - (v - low) / range), X = (i) => L + inner * (i + .5) / points.length;
	const root = svg("svg", {viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": options.title});
	const text = (x, y, t, anchor = "middle") => svg("text", {x, y, "text-anchor": anchor, "font-size": 11, fill: "currentColor"}, t);
	root.append(svg("line", {x1: L, x2: W - 8, y1: Y(0), y2: Y(0), stroke: "currentColor", "stroke-width": .7}));
	new Set([low, 0, high]).forEach((v) => { if (v === 0 || Math.abs(v) > range * .08) root.append(text(L - 4, Y(v) + 4, num(v, 3), "end")); });
	const dots = [];
	points.forEach((p, i) => {
		if (!Number.isFinite(p.y)) return;
		const mark = options.bars
			? svg("rect", {x: X(i) - Math.max(1, inner / points.length * .35), width: Math.max(1.5, inner / points.length * .7), y: Math.min(Y(0), Y(p.y)), height: Math.max(.7, Math.abs(Y(p.y) - Y(0))), fill: p.y < 0 ? "#2166ac" : "#b2182b"})
			: svg("circle", {cx: X(i), cy: Y(p.y), r: p.on ? 6 : Math.max(2.2, Math.min(4, 140 / points.length)), fill: p.on ? "#e69f00" : p.colour || "#0072b2"});
		if (p.pair !== undefined) { mark.setAttribute("data-pair", p.pair); mark.style.cursor = "pointer"; mark.addEventListener("click", () => choosePair(p.pair)); dots.push({mark, p}); }
		mark.append(svg("title", {}, p.title));
		root.append(mark);
	});
	if (options.labels) {
		const size = points.map((p) => Number.isFinite(p.y) ? Math.abs(p.y) : -1);
		const kept = labelled(points.length, Math.ceil(points.length / 24), points.map((p) => p.bold), size.indexOf(Math.max(...size)));
		points.forEach((p, i) => { if (kept[i]) { const t = text(X(i), H - B + 12, p.x.length > 7 ? p.x.slice(0, 6) + "…" : p.x, "end"); t.setAttribute("transform", `rotate(-45 ${X(i)} ${H - B + 12})`); t.setAttribute("font-size", 9); if (p.bold) t.setAttribute("font-weight", "bold"); root.append(t); } });
	} else root.append(text(L + inner / 2, H - 10, options.x));
	if (dots.length) listenDots(root, dots, options.title);
	return root;
}
function choosePair(pair) {
	state.pair = pair;
	drawPair();
	drawDetail();
}
/* Dots of pairs by keyboard: arrows move, Enter chooses, Escape leaves. */
function listenDots(root, dots, title) {
	let at = -1;
	const mark = (i) => {
		if (at >= 0) dots[at].mark.removeAttribute("stroke");
		at = i;
		if (i < 0) { hideTip(); return; }
		dots[i].mark.setAttribute("stroke", css("--accent"));
		dots[i].mark.setAttribute("stroke-width", 3);
		const box = dots[i].mark.getBoundingClientRect();
		showTip(dots[i].p.title, box.left + window.scrollX, box.bottom + window.scrollY);
		$("said").textContent = dots[i].p.title;
	};
	for (const [key, value] of Object.entries({id: "dots", tabindex: 0, role: "application", "aria-roledescription": "chart", "aria-label": `${title}: arrow keys move, Enter chooses a pair`})) root.setAttribute(key, value);
	root.addEventListener("blur", () => mark(-1));
	root.addEventListener("keydown", (event) => {
		const move = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1}[event.key];
		if (move) {
			event.preventDefault();
			const chosen = dots.findIndex((dot) => dot.p.on);
			mark(at < 0 ? Math.max(0, chosen) : Math.min(dots.length - 1, Math.max(0, at + move)));
		} else if (event.key === "Enter" || event.key === " ") {
			event.preventDefault();
			if (at >= 0) { choosePair(dots[at].p.pair); $("dots").focus(); }
		} else if (event.key === "Escape") mark(-1);
	});
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
	for (const [name, text] of [["stderr", "standard error"], ["p_value", "p"], ["p_fwer", "p_fwer"], ["q_bh", "q_bh"], [RANK, "p among random sets"], ["n_pairs", "pairs"]])
		if (column(s, name, false)) line(text, (r) => num(v(name, r)));
	table.append(body);
	return table;
}
/* Means of the other metrics, and of the base runs. */
function otherFacts(s, cell) {
	if (!s.others.size) return null;
	const cells = (head, ...texts) => el("tr", {}, head, ...texts.map((text) => el("td", {text}))), body = el("tbody");
	const base = (m, side, k) => m.base && m.base[side] ? num(unpack(m.base[side])[k]) : "–";
	for (const [name, m] of s.others) {
		if (name === RANK) continue; /* among the facts */
		const head = el("th", {scope: "row", title: m.title, text: (name.startsWith("candidate_") ? m.title : name) + (m.units === "1" ? "" : ` (${unitOf(m.units).trim()})`)});
		const row = cells(head, num(figure(s, name, cell, false)), base(m, "clean", 0), base(m, "corrupted", 0));
		if (s.right) for (const text of [hasRight(s, name) ? num(figure(s, name, cell, true)) : "–", base(m, "clean", 1), base(m, "corrupted", 1)]) row.append(el("td", {text}));
		row.dataset.metric = name;
		body.append(row);
	}
	const heads = ["mean", "clean", "corrupted"], head = el("tr", {}, el("th"));
	for (const of of s.right ? ["all", "right"] : ["all"]) for (const text of heads) head.append(el("th", {scope: "col", text: text === "mean" ? `${of} pairs` : text}));
	return el("div", {id: "others", class: "wide"}, el("h3", {text: "Other metrics: means, beside those of the prompts without intervention"}), el("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "Other metrics"}, el("table", {}, el("thead", {}, head), body)));
}
/* The cell of the same name in the sweep beside it: both's numbers, and what is between them. */
function besideFacts(s, cell) {
	const other = otherNow();
	if (!other || other === s) return null;
	const there = sameCell(s, cell, other), box = el("div", {id: "beside", class: "wide"}, el("h3", {text: `${label(s, cell)} in both`}));
	if (there < 0) { box.append(el("p", {class: "note", text: `${nameOf(other)} has no such cell.`})); return box; }
	const body = el("tbody"), names = metricsOf(s).filter((m) => metricsOf(other).includes(m) && m !== "p_fwer");
	const value = (t, c, m) => shown(t, m, c, state.right), ends = (t, c, m) => METRICS[m] && METRICS[m].low ? interval(...[METRICS[m].low, METRICS[m].high].map((end) => figure(t, end, c, state.right) + (m === "restoration" ? shift(t) : 0))) : "";
	const line = (name, title, texts) => body.append(el("tr", {"data-figure": name}, el("th", {scope: "row", text: title}), ...texts.map((text) => el("td", {text}))));
	for (const m of names) line(m, metricOf(s, m).title(s), [num(value(s, cell, m)) + ends(s, cell, m), num(value(other, there, m)) + ends(other, there, m), num(value(s, cell, m) - value(other, there, m))]);
	line("p_fwer", "p_fwer", [num(figure(s, "p_fwer", cell, state.right)), num(figure(other, "p_fwer", there, state.right)), ""]);
	box.append(el("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "Both sweeps' numbers"}, el("table", {}, el("thead", {}, el("tr", {}, el("th"), ...[nameOf(s), nameOf(other), "the first less the second"].map((text) => el("th", {scope: "col", text})))), body)),
		el("p", {class: "note", text: `Over ${state.right ? "the pairs that the model is right about" : "all pairs"}. Differences are of the means, and have no interval here: patchbay compare has them.`}));
	return box;
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
		points.push({x: names.labels[i], bold: names.bold[i], y, title: `${names.labels[i]} (${num(axis.values[i])}): ${num(y)}`});
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
			title: `pair ${p.pair}: effect ${num(p.y)}, LD ${num(base[p.pair] + p.y)}${right[p.pair] ? "" : " (not a right pair)"}`})), {x: `${order.length} pairs, by their effect (grey: not right); choose one to read it`, title: "effect in each pair"})));
	} else parts.push(el("div", {}, el("h3", {text: "Effect in each pair"}), el("p", {class: "note", text: `Not in this page: see logit_diff of sweeps/${s.name} in the file.`})));
	const positions = besidePositions(s, cell);
	if (positions) parts.push(positions);
	const others = otherFacts(s, cell);
	if (others) parts.push(others);
	const beside = besideFacts(s, cell);
	if (beside) parts.push(beside);
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
	const pattern = patternPanel(file, layer, head);
	if (pattern) out.push(pattern);
	return out;
}
