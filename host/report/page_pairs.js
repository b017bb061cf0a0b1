/* Pairs, token by token. */
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
