// Asks for the newest state, shows it, asks again. Everything that comes is put in as text, never as HTML.
"use strict";

const PERIOD_MS = 250, TIMEOUT_MS = 5000, OLD_S = 3, LABEL_FROM_PX = 56;
const SOFT_WORDS = { running: "running", paused: "paused", waiting: "waiting for a frame", lost: "signal lost", ended: "ended" };
const $ = (id) => document.getElementById(id);

let has = "", last = null, refused = "", answered = performance.now(), shownAge = 0, drawn = [], looking = false;

function node(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const number = (value) => value.toLocaleString("en");
const counted = (n, noun) => `${number(n)} ${noun}${n === 1 ? "" : "s"}`;
const percent = (value) => `${(100 * value).toFixed(1)}%`;
const show = (value, unit, digits = 0) => (value === null ? "unknown" : `${value.toFixed(digits)} ${unit}`);
const megabytes = (value) => (value === null ? "unknown" : value >= 10240 ? `${(value / 1024).toFixed(0)} GB` : `${value.toFixed(0)} MB`);

function row(cells) {
  const made = node("tr");
  made.append(...cells.map((cell) => { const td = node("td"); td.append(cell); return td; }));
  return made;
}

function figures(list, pairs) {
  list.replaceChildren(...pairs.map(([name, value]) => { const div = node("div"); div.append(node("dt", name), node("dd", value)); return div; }));
}

function swatched(kind, text) {
  const made = node("span");
  made.append(node("i", undefined, `swatch ${kind}`), text);
  return made;
}

function regionText(region) {
  if (region.excluded !== null) return `excluded: ${region.excluded}`;
  return region.probability === null ? region.label : `${region.label} ${region.probability.toFixed(3)}`;
}

// Picture and boxes are swapped in one step, when the picture is decoded: no box is ever on another frame.
async function draw(state) {
  const picture = state.picture;
  if (picture === null) {
    $("pixels").replaceChildren(); $("boxes").replaceChildren(); drawn = [];
    return;
  }
  const image = new Image();
  image.alt = `frame ${picture.index}`;
  image.src = `data:image/jpeg;base64,${state.jpeg}`;
  await image.decode();
  $("pixels").replaceChildren(image);
  $("picture").style.aspectRatio = `${picture.width} / ${picture.height}`;
  $("picture").style.width = `min(100%, calc(74vh * ${picture.width / picture.height}))`;
  drawn = picture.regions;
  $("boxes").replaceChildren(...drawn.map((region) => {
    const [x0, y0, x1, y1] = region.box, box = node("div", undefined, `box ${region.kind}`);
    box.style.left = `${(100 * x0) / picture.width}%`; box.style.width = `${(100 * (x1 - x0)) / picture.width}%`;
    box.style.top = `${(100 * y0) / picture.height}%`; box.style.height = `${(100 * (y1 - y0)) / picture.height}%`;
    box.title = regionText(region);
    box.append(node("span", regionText(region)));
    return box;
  }));
  placeLabels();
}

// A label is written where its box is wide enough for it; the colours and a pointer held on it tell the rest.
function placeLabels() {
  [...$("boxes").children].forEach((box) => {
    const large = box.clientWidth > 0.5 * $("boxes").clientWidth;
    box.classList.toggle("inside", large || box.offsetTop < 22);
    box.firstChild.hidden = !large && box.clientWidth < LABEL_FROM_PX;
  });
}

function tell(state) {
  const { slide, latency, health, recording, model } = state, noun = model.unit;
  $("model").textContent = model.name;
  document.title = `${model.name}: live`;
  $("pause").textContent = state.state === "paused" ? "Start" : "Pause";
  $("pause").disabled = $("slide").disabled = state.state === "ended";
  $("legend").replaceChildren(
    ...slide.counted.map((entry) => { const li = node("li"); li.append(swatched(entry.kind, entry.label)); return li; }),
    ...[["abstain", "no verdict (abstained)"], ["excluded", "excluded"]].map(([kind, text]) => { const li = node("li"); li.append(swatched(kind, text)); return li; }));

  $("share-card").hidden = slide.share === null;
  if (slide.share !== null) {
    const { value, interval, note } = slide.share;
    $("share-title").textContent = noun === "cell" ? "Blast fraction" : "Share of fields called malignant";
    $("share").textContent = value === null ? "–" : percent(value);
    $("share-interval").textContent = interval === null ? "no verdict yet" : `95% interval ${percent(interval[0])} to ${percent(interval[1])}`;
    $("share-range").setAttribute("x", interval === null ? 0 : 1000 * interval[0]);
    $("share-range").setAttribute("width", interval === null ? 0 : Math.max(1000 * (interval[1] - interval[0]), 3));
    $("share-mark").setAttribute("x", value === null ? -10 : Math.min(Math.max(1000 * value - 2.5, 0), 995));
    $("share-note").textContent = note;
  }

  $("slide-title").textContent = `Slide ${slide.number} of this session${slide.named ? "" : ", not named"}`;
  $("counted").replaceChildren(
    ...slide.counted.map((entry) => row([swatched(entry.kind, entry.label), number(entry.n)])),
    row(["no verdict (abstained)", number(slide.abstained)]),
    row([`${noun}s counted`, number(slide.n)]),
    row(["frames", number(slide.frames)]),
    ...(slide.skipped ? [row(["frames overtaken by newer ones", number(slide.skipped)])] : []),
    ...(slide.gaps ? [row(["frames that were not available", number(slide.gaps)])] : []));
  $("excluded").replaceChildren(...(slide.excluded.length
    ? slide.excluded.map((entry) => row([entry.reason, number(entry.n)]))
    : [row(["nothing yet", ""])]));

  $("latency-of").textContent = latency === null ? "" : `${latency.timed_by} to verdict, last ${counted(latency.frames, "frame")}`;
  figures($("latency"), latency === null ? [["median", "–"]] : [
    ["median", `${latency.p50_ms.toFixed(1)} ms`], ["99th percentile", `${latency.p99_ms.toFixed(1)} ms`],
    ["latest", `${latency.last_ms.toFixed(1)} ms`], ["frames/s", latency.frames_per_s === null ? "–" : latency.frames_per_s.toFixed(1)]]);
  $("runtime").textContent = state.runtime === null ? "" : `Computed by ${state.runtime}.`;

  $("throttled").textContent = health.conditions.join(", ");
  figures($("health"), [
    ["temperature", show(health.temperature_c, "°C")], ["throttled", health.throttled === null ? "unknown" : health.throttled ? "yes" : "no"],
    ["memory used", megabytes(health.memory_mb)], ["memory free", megabytes(health.memory_free_mb)],
    ...(health.disk_free_mb === null ? [] : [["disk free", megabytes(health.disk_free_mb)]])]);

  const stopped = recording !== null && recording.stopped !== null;
  $("recording").className = recording === null ? "soft" : stopped ? "bad" : "";
  $("recording").textContent = recording === null ? "No journal is kept of this session."
    : stopped ? `Stopped: ${recording.stopped}. Kept: ${counted(recording.records, "record")}; not kept since: ${number(recording.unrecorded)}.`
    : `Recording, ${counted(recording.records, "record")}.`;
  $("messages").replaceChildren(...state.messages.map((message) => {
    const li = node("li"); li.append(node("time", new Date(1000 * message.at).toLocaleTimeString("en", { hour12: false })), message.text); return li;
  }), ...(state.messages.length ? [] : [node("li", "nothing unusual yet", "soft")]));
}

// What may be wrong with what is seen: nobody must take an old picture for a new one.
function checkAge() {
  const silent = (performance.now() - answered) / 1000, offline = last !== null ? silent > OLD_S : silent > 2 * OLD_S;
  const state = offline ? "offline" : last === null ? "waiting" : last.state;
  $("state").textContent = offline ? "no connection" : last === null ? "connecting" : SOFT_WORDS[state];
  $("state").className = `state ${state}`;
  const picture = last === null ? null : last.picture, age = picture === null ? 0 : shownAge + silent;
  const old = state === "running" && age > OLD_S;
  const stopped = last !== null && last.recording !== null && last.recording.stopped !== null;
  const alarms = [];
  if (refused) alarms.push(`This page is not let in: ${refused}.`);
  else if (offline) alarms.push(`No answer from the runner for ${silent.toFixed(0)} s: the session has ended or the network is down. What you see is old.`);
  if (stopped) alarms.push(`Recording has stopped: ${last.recording.stopped}.`);
  $("alarm").hidden = alarms.length === 0;
  if ($("alarm").textContent !== alarms.join(" ")) $("alarm").textContent = alarms.join(" ");
  let veil = "";
  if (offline) veil = "old";
  else if (state === "paused") veil = "paused";
  else if (state === "ended") veil = "the session has ended";
  else if (state === "lost") veil = `signal lost: ${last.lost}`;
  else if (picture === null) veil = last === null ? "connecting" : "waiting for the first frame";
  else if (old) veil = `no new frame for ${age.toFixed(0)} s`;
  else if (picture.excluded !== null) veil = `not classified: ${picture.excluded}`;
  $("veil").hidden = veil === "";
  $("veil").textContent = veil;
  $("picture").classList.toggle("old", offline || old || ["paused", "lost", "ended"].includes(state));
  $("pause").disabled = $("slide").disabled = offline || last === null || state === "ended";
  $("caption").textContent = picture === null ? " "
    : `frame ${picture.index} · ${picture.source} · ${age < OLD_S ? `${(1000 * age).toFixed(0)} ms` : `${age.toFixed(0)} s`} old`
      + (picture.sigma ? ` · noise of sigma ${picture.sigma} added` : "");
}

async function look() {
  if (looking) return;
  looking = true;
  const began = performance.now();
  try {
    const response = await fetch(`view?has=${encodeURIComponent(has)}`, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
    refused = response.ok ? "" : await response.text();
    if (!response.ok) throw new Error(refused);
    const state = await response.json();
    if (state.jpeg !== undefined) { await draw(state); has = state.id; }
    last = state; answered = began; shownAge = state.picture === null ? 0 : state.picture.age_s;
    tell(state);
  } catch (error) {
    if (error instanceof TypeError || error.name === "TimeoutError") refused = ""; // the network's own troubles show as age
    else console.warn(error);
  }
  checkAge();
  looking = false;
  if (!document.hidden) setTimeout(look, Math.max(PERIOD_MS - (performance.now() - began), 50));
}

async function send(path, content) {
  let answer = "";
  try {
    const response = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content), signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!response.ok) answer = await response.text();
  } catch { answer = "No answer from the runner: nothing was changed, or nobody knows."; }
  $("answer").textContent = answer;
  $("answer").hidden = answer === "";
}

$("pause").addEventListener("click", () => send(last.state === "paused" ? "start" : "pause", {}));
$("slide").addEventListener("click", () => { $("name").value = ""; $("ask").showModal(); });
$("cancel").addEventListener("click", () => $("ask").close());
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value;
  $("name").value = "";
  $("ask").close();
  send("slide", { name });
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
window.addEventListener("resize", placeLabels);
setInterval(checkAge, 500); // also while no answer comes
if (location.search) history.replaceState(null, "", location.pathname); // the token is in a cookie now
look();
