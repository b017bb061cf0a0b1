/* Comparisons: curves by relative depth, a table of the models, a table of their strongest cells. */
const comparisons = D.files.filter((file) => file.comparison).map((file) => file.comparison);
const compared = {at: 0, right: false, off: new Set(), model: -1, bin: -1, models: {by: "", down: false}, strong: {by: "size", down: true}};
const comparisonNow = () => comparisons[compared.at];
/* "gpt2-xl", "pythia-70m step3000"; of two that are called so, the name of the file. */
function modelName(c, i) {
	const of = (name) => c.fields[name].all.values, last = (path) => path.slice(path.lastIndexOf("/") + 1);
	const model = of("model"), revision = of("revision");
	if (model.filter((m, k) => m === model[i] && revision[k] === revision[i]).length > 1) return last(of("path")[i]);
	return last(model[i]) + (["", "main"].includes(revision[i]) ? "" : ` ${revision[i]}`);
}
/* {x, low, high} of a row at a place; figures that are of all pairs alone are so in both. */
function comparedAt(c, name, at, right) {
	const field = c.fields[name], part = right && field.right.values ? field.right : field.all;
	const take = (key) => part[key] ? (Array.isArray(part[key]) ? part[key] : unpack(part[key]))[at] : NaN;
	return {x: take("values"), low: take("low"), high: take("high")};
}
const comparedText = ({x, low, high}) => num(x) + interval(low, high);
const colourOf = (i) => CATEGORIES[i % 8];

/* ---- curves ------------------------------------------------------------------------------------------ */

function depthText(c, i, bin) {
	return `${modelName(c, i)}\ndepth ${num(comparedAt(c, "depth_low", bin).x)} to ${num(comparedAt(c, "depth_high", bin).x)}\nshare of the effect ${comparedText(comparedAt(c, "depth_share", i * c.bins + bin, compared.right))}`;
}
function drawCurves() {
	const c = comparisonNow(), box = $("comparison-chart"), W = Math.min(760, box.clientWidth), H = Math.min(360, 140 + W * .32), L = 58, R = 12, T = 10, B = 40;
	const on = Array.from({length: c.n}, (_, i) => i).filter((i) => !compared.off.has(i)), share = (i, bin) => comparedAt(c, "depth_share", i * c.bins + bin, compared.right);
	const middle = (bin) => (comparedAt(c, "depth_low", bin).x + comparedAt(c, "depth_high", bin).x) / 2;
	let most = 0;
	for (const i of on) for (let bin = 0; bin < c.bins; bin++) for (const v of Object.values(share(i, bin))) if (v > most) most = v;
	most = most || 1;
	const X = (v) => L + (W - L - R) * v, Y = (v) => T + (H - T - B) * (1 - v / most);
	const root = svg("svg", {width: W, height: H, tabindex: 0, role: "application", "aria-roledescription": "chart", "aria-label": "Share of the effect by relative depth: left and right move along a curve, up and down between curves, Enter chooses the model"});
	const text = (x, y, t, anchor = "middle") => root.append(svg("text", {x, y, "text-anchor": anchor, "font-size": 12, fill: "currentColor"}, t));
	for (const part of [0, .25, .5, .75, 1]) {
		root.append(svg("line", {x1: L, x2: W - R, y1: Y(most * part), y2: Y(most * part), stroke: "currentColor", "stroke-width": part ? .2 : .8}));
		text(L - 6, Y(most * part) + 4, num(most * part, 3), "end");
		text(X(part), H - B + 16, num(part));
	}
	text(X(.5), H - 6, "relative depth");
	const side = svg("text", {x: 12, y: Y(most / 2), "text-anchor": "middle", "font-size": 12, fill: "currentColor", transform: `rotate(-90 12 ${Y(most / 2)})`}, "share of the effect");
	root.append(side);
	const path = (points) => points.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
	const points = [];
	for (const i of on) {
		const bins = Array.from({length: c.bins}, (_, bin) => ({bin, i, ...share(i, bin)})).filter((p) => Number.isFinite(p.x));
		const strong = i === compared.model, band = bins.filter((p) => Number.isFinite(p.low) && Number.isFinite(p.high));
		if (band.length) root.append(svg("path", {d: path([...band.map((p) => [X(middle(p.bin)), Y(p.low)]), ...band.reverse().map((p) => [X(middle(p.bin)), Y(p.high)])]) + "Z", fill: colourOf(i), opacity: strong ? .3 : .12}));
		root.append(svg("path", {d: path(bins.map((p) => [X(middle(p.bin)), Y(p.x)])), fill: "none", stroke: colourOf(i), "stroke-width": strong ? 3 : 1.6, "data-curve": i, ...(i >= 8 ? {"stroke-dasharray": "6 3"} : {})}));
		for (const p of bins) {
			points.push(Object.assign(p, {px: X(middle(p.bin)), py: Y(p.x)}));
			root.append(svg("circle", {cx: p.px, cy: p.py, r: strong ? 4 : 3, fill: colourOf(i), "data-point": `${i}.${p.bin}`}));
		}
	}
	const ring = svg("circle", {r: 8, fill: "none", stroke: css("--accent"), "stroke-width": 2, visibility: "hidden"});
	root.append(ring);
	listenCurves(root, ring, points, on);
	box.replaceChildren(root);
}
function listenCurves(root, ring, points, on) {
	const c = comparisonNow();
	let at = null;
	const show = (p, aloud) => {
		at = p;
		ring.setAttribute("visibility", p ? "visible" : "hidden");
		if (!p) { hideTip(); return; }
		ring.setAttribute("cx", p.px);
		ring.setAttribute("cy", p.py);
		const box = root.getBoundingClientRect(), text = depthText(c, p.i, p.bin);
		showTip(text, box.left + window.scrollX + p.px, box.top + window.scrollY + p.py);
		if (aloud) $("comparison-said").textContent = text.replace(/\n/g, "; ");
	};
	const nearest = (event) => {
		const box = root.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top, far = (p) => Math.hypot(p.px - x, p.py - y);
		return points.reduce((best, p) => !best || far(p) < far(best) ? p : best, null);
	};
	root.addEventListener("pointermove", (event) => show(nearest(event)));
	root.addEventListener("pointerleave", () => show(null));
	root.addEventListener("blur", () => show(null));
	root.addEventListener("click", (event) => { const p = nearest(event); if (p) chooseModel(p.i); });
	root.addEventListener("keydown", (event) => {
		const moves = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}, move = moves[event.key];
		if (move && points.length) {
			event.preventDefault();
			const from = at || points.find((p) => p.i === compared.model) || points[0];
			const i = at ? on[Math.min(on.length - 1, Math.max(0, on.indexOf(from.i) + move[0]))] : from.i;
			show(points.find((p) => p.i === i && p.bin === from.bin + (at ? move[1] : 0)) || from, true);
		} else if (event.key === "Enter" || event.key === " ") {
			event.preventDefault();
			if (at) { chooseModel(at.i); $("comparison-chart").firstChild.focus(); }
		} else if (event.key === "Escape") show(null);
	});
}

/* ---- tables ------------------------------------------------------------------------------------------ */

const MEASURES = [["n_layers", "layers"], ["n_heads", "heads"], ["n_pairs", "pairs"], ["right_share", "right"], ["clean_accuracy", "accuracy"], ["clean_logit_diff", "LD clean"], ["corrupted_logit_diff", "LD corrupted"],
	["n_cells", "cells"], ["effect_total", "total |effect|"], ["top_1_share", "top 1"], ["top_5_share", "top 5"], ["top_10_share", "top 10"], ["gini", "Gini"], ["cells_for_50", "for 50%"], ["cells_for_80", "for 80%"], ["depth_centre", "depth"]];
function drawModels() {
	const c = comparisonNow(), at = (name, i) => comparedAt(c, name, i, compared.right);
	const columns = MEASURES.map(([key, title]) => ({key, title, value: (i) => at(key, i).x, text: (i) => comparedText(at(key, i))}));
	sortedTable($("models"), {columns: [{key: "model", title: "model", value: (i) => modelName(c, i), text: (i) => modelName(c, i), rising: true}, ...columns], rows: Array.from({length: c.n}, (_, i) => i),
		sort: compared.models, most: c.n, redraw: drawModels, props: (i) => ({class: i === compared.model ? "on" : null, "data-model": i, onclick: () => chooseModel(i)})});
	$("models").querySelectorAll("[data-sort]").forEach((button) => { const field = c.fields[button.dataset.sort]; if (field) button.title = field.title; });
}
/* Of the chosen model, or of those whose curves are shown. */
function drawStrong() {
	const c = comparisonNow(), rows = [], at = (name, row) => comparedAt(c, name, row.i * c.ranks + row.rank, compared.right);
	for (let i = 0; i < c.n; i++) if (compared.model >= 0 ? i === compared.model : !compared.off.has(i))
		for (let rank = 0; rank < c.ranks; rank++) { const row = {i, rank}; if (!Number.isNaN(at("top_effect", row).x)) rows.push(row); }
	$("strong-title").textContent = compared.model >= 0 ? `Strongest cells of ${modelName(c, compared.model)}` : "Their strongest cells";
	const units = c.by === "effect" ? "effect" : "restoration";
	sortedTable($("strong"), {columns: [
		{key: "cell", title: "cell", value: (r) => at("top_label", r).x, text: (r) => at("top_label", r).x, rising: true},
		{key: "of", title: "model", value: (r) => modelName(c, r.i), text: (r) => modelName(c, r.i), rising: true},
		{key: "rank", title: "rank", value: (r) => r.rank + 1, text: (r) => String(r.rank + 1), rising: true},
		{key: "top_depth", title: "depth", value: (r) => at("top_depth", r).x, text: (r) => num(at("top_depth", r).x), rising: true},
		{key: "top_effect", title: units, value: (r) => at("top_effect", r).x, text: (r) => comparedText(at("top_effect", r))}],
	rows, sort: compared.strong, sized: "top_effect", size: (r) => Math.abs(at("top_effect", r).x), most: ROWS, redraw: drawStrong});
}

/* ---- the section ------------------------------------------------------------------------------------- */

function chooseModel(i) {
	compared.model = i === compared.model ? -1 : i;
	drawCurves();
	drawModels();
	drawStrong();
}
function drawComparison() {
	const c = comparisonNow(), form = $("comparison-controls"), boxes = [];
	if (comparisons.length > 1) boxes.push(select("comparison", D.files.filter((file) => file.comparison).map((file, i) => [i, file.label]), compared.at, (v) => { Object.assign(compared, {at: Number(v), model: -1, off: new Set()}); drawComparison(); }));
	boxes.push(select("over", [["all", "all pairs"], ["right", "pairs each model is right about"]], compared.right ? "right" : "all", (v) => { compared.right = v === "right"; drawComparison(); }));
	boxes[boxes.length - 1].querySelector("select").name = "over";
	form.replaceChildren(...boxes, el("span", {class: "note", text: `${c.sweep}, ${c.direction}: |mean ${c.by}| of ${c.cells}`}));
	$("comparison-legend").replaceChildren(...Array.from({length: c.n}, (_, i) => {
		const mark = el("i"), button = el("button", {type: "button", "aria-pressed": String(!compared.off.has(i)), "data-legend": i, onclick: () => {
			if (!compared.off.delete(i)) compared.off.add(i);
			drawComparison();
			$("comparison-legend").children[i].focus();
		}}, mark, modelName(c, i));
		mark.style.background = colourOf(i);
		return button;
	}));
	drawCurves();
	drawModels();
	drawStrong();
}
