/* The report's page, part 1: the data, numbers, elements, colours, the hover text. All numbers come
 * from the JSON element #data, which `patchbay report` wrote from the result file. The parts share
 * one scope: page.html puts a function around them, in the order of the Makefile's PAGE_JS. */
"use strict";
document.documentElement.classList.add("js");
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);

/* ---- numbers ---------------------------------------------------------------------------------- */

const KINDS = {f8: Float64Array, f4: Float32Array, i4: Int32Array, u2: Uint16Array};
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
	const text = size < 1e-4 || size >= 1e6 ? x.toExponential(digits - 1) : String(Number(x.toPrecision(digits)));
	return text.replace(/-/g, "−");
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

const SVG = "http://www.w3.org/2000/svg";
function svg(name, props, ...children) {
	const node = document.createElementNS(SVG, name);
	for (const [key, value] of Object.entries(props)) node.setAttribute(key, value);
	for (const child of children) node.append(child);
	return node;
}

/* Whether a section and its link are there. */
function reveal(id, there) {
	$(id).hidden = !there;
	document.querySelector(`nav a[href="#${id}"]`).hidden = !there;
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

function cut(c, text, width) {
	if (c.measureText(text).width <= width) return text;
	let n = text.length;
	while (n > 1 && c.measureText(text.slice(0, n) + "…").width > width) n--;
	return text.slice(0, n) + "…";
}
/* Values, lengths and strides of the axes of what has `cells` of them, the last axis fastest. */
function unpackAxes(of) {
	let stride = of.cells;
	for (const axis of of.axes) {
		axis.values = unpack(axis.values);
		axis.n = axis.values.length;
		stride /= axis.n;
		axis.stride = stride;
	}
}
/* Black or white, whichever has more contrast (relative luminance of WCAG 2). */
function inkOn(rgb) {
	const [r, g, b] = rgb.map((v) => v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4);
	return .2126 * r + .7152 * g + .0722 * b > .179 ? "#000" : "#fff";
}
/* Which of n labels are written where every `every`-th has room: `most` (an index) before all, those of
 * tokens that differ next, then others that are as far from all of these. */
function labelled(n, every, differs, most) {
	const kept = new Uint8Array(n);
	if (most >= 0) kept[most] = 1;
	const far = (i) => { for (let k = Math.max(0, i - every + 1); k < Math.min(n, i + every); k++) if (kept[k]) return false; return true; };
	for (const first of [true, false]) for (let i = 0; i < n; i++) if ((differs[i] || !first) && far(i)) kept[i] = 1;
	return kept;
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
