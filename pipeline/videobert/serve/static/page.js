// The page without a framework: clips that play, a search that answers while one types, copy buttons, the map.
// Everything here is an extra: links, forms and pictures work without it.

import { drawMap } from "./map.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Load the source at the second of its segment; where the browser cannot play it, or its sound, the excerpt made for it. */
function load(video) {
  if (video.dataset.loaded) return;
  video.dataset.loaded = "video";
  video.addEventListener("error", () => {
    if (video.dataset.loaded !== "video") return;
    video.dataset.loaded = "clip"; // begins at second 0 of the segment
    video.src = video.dataset.clip;
    if (video.dataset.playing) play(video);
  });
  video.src = `${video.dataset.video}&playable=true#t=${video.dataset.start}`;
}

/** Seconds of the element at which the segment begins and ends. */
function span(video) {
  const start = Number(video.dataset.start), end = Number(video.dataset.end);
  return video.dataset.loaded === "clip" ? [0, end - start] : [start, end];
}

function play(video) {
  video.dataset.playing = "yes";
  load(video);
  video.play().catch(() => {}); // taken back when the pointer leaves before it begins
}

function stop(video) {
  delete video.dataset.playing;
  video.pause();
}

function seek(video, seconds) {
  load(video);
  const [start] = span(video);
  const to = video.dataset.loaded === "clip" ? Math.max(0, seconds - Number(video.dataset.start)) : seconds;
  const go = () => { video.currentTime = Number.isFinite(to) ? to : start; };
  if (video.readyState) go();
  else video.addEventListener("loadedmetadata", go, { once: true });
}

/** Clips of a grid play while the pointer is over them or they are in focus, and begin again at their end. */
function enliven(part) {
  for (const video of part.querySelectorAll(".card video")) {
    const card = video.closest(".card");
    for (const event of ["pointerenter", "focusin"]) card.addEventListener(event, () => still.matches || play(video));
    for (const event of ["pointerleave", "focusout"]) card.addEventListener(event, () => stop(video));
    video.addEventListener("timeupdate", () => {
      const [start, end] = span(video);
      if (video.currentTime >= end || video.currentTime < start - 0.5) video.currentTime = start;
    });
    video.addEventListener("ended", () => { if (video.dataset.playing) { video.currentTime = span(video)[0]; play(video); } });
  }
}

function startPlayer(player) {
  load(player);
  seek(player, Number(player.dataset.start));
  let inside = true; // play the segment, then stop once; whoever goes on sees the rest
  player.addEventListener("timeupdate", () => {
    if (inside && player.currentTime >= span(player)[1]) { inside = false; player.pause(); }
  });
  for (const button of document.querySelectorAll("[data-seek]")) {
    button.addEventListener("click", () => { inside = false; seek(player, Number(button.dataset.seek)); player.focus(); });
  }
}

/** Results while one types; the address stays that of what is shown, and an older answer never replaces a newer. */
function searchAsOneTypes(form) {
  const results = document.getElementById("results");
  let timer, asked;
  const ask = async () => {
    asked?.abort();
    const mine = asked = new AbortController();
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    try {
      const answer = await fetch(`${form.action.replace(/\/$/, "")}/results?${query}`, { signal: mine.signal });
      const text = await answer.text();
      if (mine.signal.aborted) return;
      if (!answer.ok) { results.replaceChildren(refusal(text)); return; }
      results.innerHTML = text; // made by our own templates, which escape what comes from outside
      enliven(results);
      history.replaceState(null, "", `?${query}`);
    } catch (error) {
      if (error.name !== "AbortError") tell("The service does not answer.");
    }
  };
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 150); });
  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(timer); ask(); });
}

/** What the service says where it does not answer: a sentence in JSON, or a page with an alert. */
function refusal(text) {
  let told;
  try {
    told = JSON.parse(text).error;
  } catch {
    told = new DOMParser().parseFromString(text, "text/html").querySelector("[role=alert]")?.textContent;
  }
  return Object.assign(document.createElement("p"), { className: "error", role: "alert", textContent: told ?? text });
}

function tell(text) {
  const told = document.getElementById("told");
  told.textContent = text;
  setTimeout(() => { told.textContent = ""; }, 2500);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no clipboard without TLS on other hosts than this one
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  tell("Copied.");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button.dataset.copy);
});
document.addEventListener("keydown", (event) => {
  const box = document.getElementById("text");
  if (event.key === "/" && box && !event.target.closest("input, textarea, select")) { event.preventDefault(); box.focus(); }
});
/** A part of the page that takes the model: loaded when somebody opens it. */
function loadWhenOpened(details) {
  details.addEventListener("toggle", async () => {
    if (!details.open || details.dataset.loaded) return;
    details.dataset.loaded = "yes";
    const answer = await fetch(details.dataset.part);
    const box = document.createElement("div");
    if (answer.ok) box.innerHTML = await answer.text(); // made by our own templates, which escape
    else box.textContent = "The model could not be asked.";
    details.querySelector("p").replaceWith(box);
  });
}

/** An uploaded video: ask how far it is, and show what was found once it has ended. */
async function follow(job) {
  const answer = await fetch(job.dataset.job);
  const { state, progress } = await answer.json();
  if (state !== "waiting" && state !== "running") { location.reload(); return; }
  document.getElementById("progress").value = progress;
  setTimeout(() => follow(job), 1000);
}

/** A file that is watched: ask for the records that came since, and put them above the others, until it has ended. */
async function watch(rows) {
  const status = document.getElementById("watching");
  while (rows.dataset.state === "running") {
    const answer = await fetch(`${rows.dataset.part}?part=true&after=${rows.dataset.after}`).catch(() => null);
    const page = new DOMParser().parseFromString(await answer?.text().catch(() => "") ?? "", "text/html");
    const fresh = page.getElementById("watched");
    const told = fresh?.dataset.told ?? page.querySelector(".error")?.textContent ?? "The service does not answer.";
    if (status.textContent !== told) status.textContent = told;
    if (answer?.status === 404) return;
    if (fresh) add(fresh, rows);
    await new Promise(go => setTimeout(go, fresh ? 1000 : 10_000)); // it may have too much to do
  }
}

/** Put the records of one table above those of another, of which the last ones go. */
function add(fresh, rows) {
  if (fresh.dataset.begun !== rows.dataset.begun) rows.replaceChildren();
  rows.prepend(...fresh.children);
  while (rows.children.length > Number(rows.dataset.most)) rows.lastElementChild.remove();
  Object.assign(rows.dataset, { ...fresh.dataset });
}

enliven(document);
const watched = document.getElementById("watched");
if (watched) watch(watched);
const job = document.getElementById("job");
if (job) follow(job);
const form = document.getElementById("search"), player = document.getElementById("player"), map = document.getElementById("map");
if (form) searchAsOneTypes(form);
if (player) startPlayer(player);
for (const details of document.querySelectorAll("details[data-part]")) loadWhenOpened(details);
if (map) drawMap(map, document.getElementById("point"));
