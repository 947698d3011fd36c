// Points on a canvas: one colour per batch, the pointer or the arrow keys choose one, a click or Enter opens it.

const COLOURS = ["#1f77b4", "#d95f02", "#1b9e77", "#a6559d", "#b8860b", "#c0392b", "#5b6dcd", "#6b8e23"];
const MARGIN = 24, NEAR = 14;

export async function drawMap(canvas, told) {
  const answer = await fetch(canvas.dataset.points);
  if (!answer.ok) { told.textContent = (await answer.json()).error; return; }
  const { points, batches, base, model } = await answer.json();
  const context = canvas.getContext("2d");
  let chosen = -1;

  const place = (point) => [
    MARGIN + (canvas.width - 2 * MARGIN) * point.x, MARGIN + (canvas.height - 2 * MARGIN) * (1 - point.y),
  ];
  const draw = () => {
    context.clearRect(0, 0, canvas.width, canvas.height);
    points.forEach((point, number) => {
      const [x, y] = place(point);
      context.beginPath();
      context.arc(x, y, number === chosen ? 9 : 4, 0, 7);
      context.fillStyle = COLOURS[batches.indexOf(point.batch) % COLOURS.length];
      context.fill();
    });
  };
  const choose = (number) => {
    if (number === chosen) return;
    chosen = number;
    draw();
    told.textContent = number < 0 ? "\u00a0" : "";
    if (number < 0) return;
    const point = points[number];
    const link = Object.assign(document.createElement("a"), { href: address(point), textContent: point.title || "untitled" });
    const said = Object.assign(document.createElement("bdi"), { textContent: ` ${point.text}` });
    told.append(link, ` ${point.batch}, second ${point.start_seconds.toFixed(1)}`, said);
  };
  const address = (point) => `${base}/rows/${encodeURIComponent(point.row_id)}?model=${encodeURIComponent(model)}`;
  const nearest = (event) => {
    const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
    const at = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    const far = points.map((point) => { const [x, y] = place(point); return Math.hypot(x - at[0], y - at[1]); });
    const best = far.indexOf(Math.min(...far));
    return far[best] <= NEAR * scale ? best : -1;
  };
  const step = (dx, dy) => {
    if (chosen < 0) { choose(0); return; }
    const [x, y] = place(points[chosen]);
    let best = -1, least = Infinity;
    points.forEach((point, number) => {
      const [u, v] = place(point), along = (u - x) * dx + (v - y) * dy, across = Math.abs((u - x) * dy) + Math.abs((v - y) * dx);
      if (along > 0 && along + 2 * across < least) { least = along + 2 * across; best = number; }
    });
    if (best >= 0) choose(best);
  };
  const keys = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  canvas.addEventListener("pointermove", (event) => choose(nearest(event)));
  canvas.addEventListener("click", (event) => { const n = nearest(event); if (n >= 0) location.href = address(points[n]); });
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && chosen >= 0) location.href = address(points[chosen]);
    if (keys[event.key]) { event.preventDefault(); step(...keys[event.key]); }
  });
  canvas.dataset.drawn = String(points.length);
  draw();
}
