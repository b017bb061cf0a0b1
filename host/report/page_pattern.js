/* A head's attention on the prompts of a pair, where the file has saved patterns. */
const patternView = {side: "both"};
const SIDES = [["both", "clean and corrupted"], ["clean", "clean"], ["corrupted", "corrupted"], ["difference", "clean − corrupted"]];
/* Weights of a head on a prompt in 0 .. 1, by query and key up to it; null where the page has none. */
function patternOf(file, side, pair, layer, head) {
	const kept = file.readings.patterns, values = unpack(kept[side]), place = kept.heads.indexOf(layer * file.heads + head);
	if (!values || place < 0 || pair >= kept.pairs) return null;
	const lengths = unpack(file.pairs.length), n = lengths[pair];
	const size = (m) => m * (m + 1) / 2;
	let from = place * size(n);
	for (let k = 0; k < pair; k++) from += kept.heads.length * size(lengths[k]);
	return {n, at: (q, k) => values[from + size(q) + k] / 65535};
}
function patternChart(file, pair, side, n, at) {
	const W = 460, L = 60, size = (W - L - 4) / n, differs = side === "difference";
	const tokens = pair < file.pairs.shown ? unpack(file.pairs[side === "corrupted" ? "corrupted" : "clean"]) : null;
	const root = svg("svg", {viewBox: `0 0 ${W} ${L + size * n + 4}`, role: "img", "aria-label": `attention pattern, ${side}`, "data-side": side});
	const name = (i) => tokens ? tokenText(file, tokens[pair * file.pairs.positions + i]) : String(i);
	for (let q = 0; q < n; q++) for (let k = 0; k <= q; k++) {
		const v = at(q, k);
		const cell = svg("rect", {x: L + k * size, y: L + q * size, width: size, height: size, fill: `rgb(${diverging(differs ? v : -v)})`, "data-at": `${q}.${k}`});
		cell.append(svg("title", {}, `${name(q)} (${q}) reads ${name(k)} (${k}): ${num(Number(v.toFixed(4)))}`));
		root.append(cell);
	}
	const every = Math.ceil(9 / size), sides = [unpack(file.pairs.clean), unpack(file.pairs.corrupted)];
	const bold = Array.from({length: n}, (_, i) => Boolean(tokens) && sides[0][pair * file.pairs.positions + i] !== sides[1][pair * file.pairs.positions + i]), kept = labelled(n, every, bold);
	for (let i = 0; i < n; i++) {
		if (!kept[i]) continue;
		const t = (x, y, turn) => { const node = svg("text", {x, y, "font-size": Math.min(9, size * every), "text-anchor": turn ? "start" : "end", fill: "currentColor"}, name(i).slice(0, 9)); if (bold[i]) node.setAttribute("font-weight", "bold"); if (turn) node.setAttribute("transform", `rotate(-90 ${x} ${y})`); root.append(node); };
		t(L - 3, L + (i + .8) * size, false);
		t(L + (i + .8) * size, L - 3, true);
	}
	return root;
}
/* The charts of what is chosen, side by side, and what is chosen; null where no pattern was saved. */
function patternPanel(file, layer, head) {
	const kept = file.readings.patterns, there = ["clean", "corrupted"].filter((side) => kept && kept[side]);
	if (!kept || !kept.saved) return null;
	if (!there.length || !kept.heads.includes(layer * file.heads + head)) return el("div", {}, el("h3", {text: "Its attention"}), el("p", {class: "note", text: "Not in this page, which has the strongest heads on prompts of up to 96 tokens: see /activations in the file."}));
	const pair = state.pair, go = (to, focus) => {
		state.pair = Math.max(0, Math.min(kept.pairs - 1, to));
		drawPair();
		drawDetail();
		const again = $(focus);
		if (again) again.focus();
	};
	const number = el("input", {type: "number", id: "pattern-pair", min: 0, max: kept.pairs - 1, value: pair, onchange: () => go(Number(number.value) || 0, "pattern-pair")});
	const sides = select("prompt", SIDES.filter(([side]) => there.length > 1 || there.includes(side)), there.length > 1 ? patternView.side : there[0], (v) => { patternView.side = v; drawDetail(); $("pattern-side").focus(); });
	sides.querySelector("select").id = "pattern-side";
	const controls = el("div", {class: "controls"}, sides, el("label", {}, `pair, of the ${kept.pairs} in this page`, number),
		el("div", {class: "field"}, "", el("span", {}, el("button", {type: "button", id: "pattern-before", text: "←", "aria-label": "pattern of the previous pair", onclick: () => go(pair - 1, "pattern-before")}), " ",
			el("button", {type: "button", id: "pattern-after", text: "→", "aria-label": "pattern of the next pair", onclick: () => go(pair + 1, "pattern-after")}))));
	const of = Object.fromEntries(there.map((side) => [side, patternOf(file, side, pair, layer, head)])), charts = el("div", {class: "patterns"});
	const view = there.length > 1 ? patternView.side : there[0];
	const add = (side, title, n, at) => charts.append(el("figure", {}, el("figcaption", {text: title}), patternChart(file, pair, side, n, at)));
	if (!of[there[0]]) charts.append(el("p", {class: "note", text: `Patterns of pair ${pair} are not in this page: see /activations in the file.`}));
	else if (view === "difference") add("difference", "clean − corrupted, with the clean tokens: red where clean is larger", of.clean.n, (q, k) => of.clean.at(q, k) - of.corrupted.at(q, k));
	else for (const side of view === "both" ? there : [view]) add(side, side, of[side].n, of[side].at);
	return el("div", {class: "wide", id: "pattern"}, el("h3", {text: `Its attention, pair ${pair}`}), controls, charts);
}
