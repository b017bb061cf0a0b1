/* The whole: which sections there are, drawing all, and what all of it hears. */
function draw() {
	drawControls();
	drawMaps();
	drawTable();
	drawDetail();
	drawPair();
}
const first = D.files.findIndex((file) => file.sweeps.length);
for (const id of ["explore", "top", "pairs"]) reveal(id, first >= 0);
reveal("evaluation", grids.length > 0);
reveal("comparison", comparisons.length > 0);
/* The next file is beside the first one from the start. */
const next = D.files.findIndex((file, f) => f > first && file.sweeps.length);
if (first >= 0 && next >= 0) {
	const one = D.files[first].sweeps[0], both = (of) => of(one).find((x) => of(otherNow()).some((y) => String(x) === String(y)));
	state.other = counterpart(one, next) || `${next}.0`;
	state.metric = both(metricsOf) || state.metric;
	state.view = (both(viewsOf) || [""])[0];
}
if (first >= 0) choose(first, 0);
if (grids.length) drawEvaluation();
if (comparisons.length) drawComparison();
if (first < 0 && !grids.length && !comparisons.length) document.documentElement.classList.remove("js");

function drawAll() {
	if (first >= 0) draw();
	if (grids.length) drawEvaluation();
	if (comparisons.length) drawComparison();
}
document.querySelectorAll("form.controls").forEach((form) => form.addEventListener("submit", (e) => e.preventDefault()));
$("random").addEventListener("change", () => { state.controls = $("random").checked; drawTable(); });
$("filter").addEventListener("input", () => { state.filter = $("filter").value; drawTable(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
matchMedia("print").addEventListener("change", () => [...maps, ...gridMaps].forEach((map) => map.draw()));
let width = window.innerWidth;
window.addEventListener("resize", () => {
	if (window.innerWidth === width) return;
	width = window.innerWidth;
	if (first >= 0) drawMaps();
	if (grids.length) drawEvaluation();
	if (comparisons.length) drawCurves();
});
window.patchbay = {state, maps, choose, shown, grid, gridMaps, compared, inkOn, labelled};
