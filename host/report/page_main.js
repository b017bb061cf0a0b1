/* The whole: drawing all, and what all of it hears. */
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
