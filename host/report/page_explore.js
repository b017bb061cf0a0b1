/* Maps of sweeps: what is shown, and the maps. */
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
	if (sweep.others.has(state.metric) && state.metric !== RANK) lines.push(otherText(sweep, state.metric, cell, right));
	const base = unpack(sweep.noise ? sweep.file.pairs.ld : sweep.file.pairs.ldCorrupted);
	const use = unpack(sweep.file.pairs.right), kept = [...base].filter((x, i) => !right || use[i]);
	if (f("n_pairs") === kept.length) lines.push(`LD ${num(kept.reduce((a, b) => a + b, 0) / kept.length + effect)} (mean of ${kept.length} pairs)`);
	lines.push(`p_fwer ${num(f("p_fwer"), 3)}` + (column(sweep, "p_value", right) ? `, p ${num(f("p_value"), 3)}, q ${num(f("q_bh"), 3)}` : ""));
	if (sweep.others.has(RANK)) lines.push(rankText(sweep, cell, right));
	return lines.join("\n");
}
/* A sweep as what a map shows (page_heat.js), in the view and the number that are chosen. */
function sourceOf(sweep, [low, high]) {
	const metric = state.metric, right = state.right, layout = layoutOf(sweep, state.view);
	return {
		sweep, layout, name: sweep.title, title: nameOf(sweep),
		low, high, quantity: metricOf(sweep, metric).title(sweep), said: $("said"),
		value: (cell) => shown(sweep, metric, cell, right),
		text: (cell) => textOf(sweep, cell, right),
		outlined: (cell) => figure(sweep, "p_fwer", cell, right) < .05,
		/* In a map of another sweep that of the cell of its name. */
		chosen: () => {
			const now = sweepNow();
			if (sweep === now) return layout.cells.indexOf(state.cell);
			const cell = sameCell(now, state.cell, sweep);
			return cell < 0 ? -1 : layout.cells.indexOf(cell);
		},
		choose: (cell, focused) => {
			if (sweep !== sweepNow()) { /* the other map becomes the first */
				state.other = `${state.file}.${state.sweep}`;
				choose(D.files.indexOf(sweep.file), sweep.file.sweeps.indexOf(sweep));
				if (focused && maps[0]) maps[0].canvas.focus();
			}
			state.cell = cell;
			maps.forEach((map) => map.draw());
			drawTable();
			drawDetail();
		},
	};
}

function drawControls() {
	const s = sweepNow(), form = $("controls"), all = [];
	D.files.forEach((file, f) => file.sweeps.forEach((sweep, k) => all.push([`${f}.${k}`, nameOf(sweep)])));
	const focused = document.activeElement && document.activeElement.name;
	form.replaceChildren(
		select("sweep", all, `${state.file}.${state.sweep}`, (v) => choose(...v.split(".").map(Number))),
		select("beside it", [["", "nothing"], ...all.filter((o) => o[0] !== `${state.file}.${state.sweep}`)], state.other, (v) => { state.other = v; draw(); }),
		select("map", viewsOf(s).length ? viewsOf(s) : [["", "none: see the table"]], state.view, (v) => { state.view = v; draw(); }),
		select("number", metricsOf(s).map((m) => [m, metricOf(s, m).title(s)]), state.metric, (v) => { state.metric = v; draw(); }),
		select("over", [["all", "all pairs"], ["right", "pairs the model is right about"]], state.right ? "right" : "all", (v) => { state.right = v === "right"; draw(); }));
	["sweep", "other", "view", "metric", "over"].forEach((name, i) => { form.querySelectorAll("select")[i].name = name; });
	const opposite = all.find((o) => { const [f, k] = o[0].split(".").map(Number), t = D.files[f].sweeps[k]; return f === state.file && t.noise !== s.noise && t.title.replace(/denoise|noise/, "") === s.title.replace(/denoise|noise/, ""); });
	if (opposite) form.append(el("div", {class: "field"}, "direction", el("button", {type: "button", id: "flip", text: s.noise ? "noise → denoise" : "denoise → noise", onclick: () => choose(...opposite[0].split(".").map(Number))})));
	if (focused && form.elements[focused]) form.elements[focused].focus();
}
function drawMaps() {
	const box = $("maps"), sweeps = [sweepNow()];
	if (state.other) sweeps.push(otherNow());
	maps.length = 0;
	box.replaceChildren();
	const fit = sweeps.filter((s) => viewsOf(s).some((v) => v[0] === state.view) && metricsOf(s).includes(state.metric));
	if (!fit.length) {
		box.append(el("p", {class: "note", text: "This sweep has no map here: its strongest cells are in the table, and its figures are below."}));
		return;
	}
	if (fit.length < sweeps.length) box.append(el("p", {class: "note", text: "The other sweep has no such map."}));
	/* One scale for all; random sets are on no map. */
	const values = [];
	for (const s of fit) each(s, (cell) => isControl(s, cell) || values.push(shown(s, state.metric, cell, state.right)));
	const scale = scaleOf(values, metricOf(fit[0], state.metric));
	const width = box.clientWidth;
	for (const s of fit) {
		const map = new HeatMap(sourceOf(s, scale), fit.length > 1 && width > 800 ? width / 2 - 24 : width - 6);
		maps.push(map);
		box.append(map.node);
	}
	if (state.right && !hasRight(sweepNow(), state.metric)) box.append(el("p", {class: "note", text: "Figures over the right pairs are not in this page for so large a sweep; these are over all pairs."}));
	if (sweepNow().others.has(RANK)) box.append(el("p", {class: "note", id: "frames", text: "A frame is p_fwer < 0.05: there is an effect. Whether it is more than that of any heads is said by p among random sets, which hovering gives too."}));
	if (sweepNow().metricsLeft.length) box.append(el("p", {class: "note", text: `Not in this page for so large a sweep: means of ${sweepNow().metricsLeft.join(", ")}. The file has them.`}));
}
