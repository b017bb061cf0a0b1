/* Heat maps on a canvas: of a sweep (page_sweeps.js), of an evaluation (page_evaluation.js). What a map
 * shows is its source:
 *   title, name     heading, and what it is called aloud
 *   layout          rows, columns, their titles, cells (by place, -1: none), bold, rowsBold, roles (page_views.js)
 *   value(cell)     NaN: hatched
 *   text(cell)      hover text, lines; a place without a cell is given as -1
 *   low, high       the ends of the scale; diverging: low is -high, red above zero and blue below it
 *   quantity        beside the colour bar
 *   outlined(cell)  whether it has a frame
 *   chosen()        the place that is chosen, -1: none
 *   choose(cell, focused)  what choosing does; focused: the map has the keyboard
 *   said            the element where the keyboard's cell is said */
class HeatMap {
	constructor(source, width) {
		this.source = source;
		this.layout = source.layout;
		this.cursor = -1;
		this.canvas = el("canvas", {tabindex: 0, role: "application", "aria-roledescription": "heat map",
			"aria-label": `${source.name}: arrow keys move, Enter chooses a cell`,
			onpointermove: (e) => this.hover(e), onpointerleave: () => this.leave(),
			onclick: (e) => this.click(e), onkeydown: (e) => this.key(e), onblur: () => { this.cursor = -1; this.draw(); hideTip(); }});
		this.node = el("div", {class: "map"}, el("h3", {text: source.title}), el("div", {class: "scroll"}, this.canvas));
		this.measure(width);
		this.draw();
	}
	get sweep() { return this.source.sweep; }
	get scale() { return this.source.high; }
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
		const {low, high} = this.source;
		return low < 0 && low === -high ? diverging(value / high) : diverging(-Math.max(0, (value - low) / (high - low || 1)));
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
		const value = cell < 0 ? NaN : this.source.value(cell);
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
		const light = .299 * rgb[0] + .587 * rgb[1] + .114 * rgb[2];
		c.fillStyle = `rgb(${rgb})`;
		c.fillRect(x, y, this.w, this.h);
		if (this.w >= 30) {
			c.fillStyle = inkOn(rgb);
			c.font = "10px sans-serif";
			c.textAlign = "center";
			c.textBaseline = "middle";
			const size = Math.abs(value);
			c.fillText((size >= 9.95 ? value.toFixed(0) : size >= .995 ? value.toFixed(1) : value.toFixed(2)).replace("-0.00", "0.00").replace("-", "−"), x + this.w / 2, y + this.h / 2 + .5);
		}
		if (this.source.outlined(cell)) {
			c.strokeStyle = light > 70 ? "#000" : "#fff"; /* seen on the darkest blue and red too */
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
		const keptRows = labelled(m.rows.length, rows, m.rowsBold || []);
		m.rows.forEach((t, i) => {
			if (!keptRows[i]) return;
			c.font = m.rowsBold && m.rowsBold[i] ? "bold 12px sans-serif" : "12px sans-serif";
			c.fillText(cut(c, t, 90), this.left - 5, this.top + this.h * (i + .5));
		});
		c.font = "12px sans-serif";
		const needed = this.turned ? 14 : Math.max(14, ...m.columns.map((t) => c.measureText(t).width + 4));
		const columns = step(this.w * 14 / needed, m.columns.length);
		this.labelled = labelled(m.columns.length, columns, m.bold);
		m.columns.forEach((t, i) => {
			const x = this.left + this.w * (i + .5);
			if (m.roles[i] >= 0) {
				c.fillStyle = CATEGORIES[m.roles[i] % 8];
				c.fillRect(x - this.w / 2, below + 2, this.w, 5);
			}
			if (!this.labelled[i]) return;
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
		const y = this.height - this.barHeight + 6, w = Math.min(140, this.width - this.left - 90), {low, high} = this.source;
		for (let i = 0; i < w; i++) {
			c.fillStyle = `rgb(${this.colour(low + (high - low) * (i + .5) / w)})`;
			c.fillRect(this.left + i, y, 1.2, 9);
		}
		c.fillStyle = css("--ink");
		c.font = "11px sans-serif";
		c.textBaseline = "top";
		[0, .5, 1].forEach((part) => {
			c.textAlign = "center";
			c.fillText(num(low + (high - low) * part, 3), this.left + w * part, y + 12);
		});
		c.textAlign = "left";
		c.textBaseline = "middle";
		c.fillText(this.source.quantity, this.left + w + 14, y + 5, this.width - this.left - w - 16);
	}
	chosen() { return this.source.chosen(); }
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
		showTip(this.source.text(this.layout.cells[i]), event.pageX, event.pageY);
	}
	leave() { hideTip(); }
	choose(i) {
		if (i >= 0 && this.layout.cells[i] >= 0) this.source.choose(this.layout.cells[i], document.activeElement === this.canvas);
	}
	click(event) { this.choose(this.at(event)); }
	key(event) {
		const n = this.layout.columns.length, moves = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -n, ArrowDown: n};
		if (event.key in moves) {
			event.preventDefault();
			const from = this.cursor >= 0 ? this.cursor : Math.max(0, this.chosen());
			const to = this.cursor >= 0 ? from + moves[event.key] : from;
			const sameRow = Math.abs(moves[event.key]) !== 1 || Math.floor(to / n) === Math.floor(from / n);
			if (to >= 0 && to < this.layout.cells.length && sameRow) this.cursor = to;
			const text = this.source.text(this.layout.cells[this.cursor]), [x, y] = this.corner(this.cursor), box = this.canvas.getBoundingClientRect();
			this.source.said.textContent = text.replace(/\n/g, "; ");
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
