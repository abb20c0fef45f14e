// The player: the face at the time of the sound, its prompts, and the way to any place in it.
"use strict";

const byId = (id) => document.getElementById(id);
const PLAY = "M7 4v16l13-8z", PAUSE = "M6 4h4v16H6zM14 4h4v16h-4z";
const LEAST = 0.15, MOST = 2;  // shapes named below the face

async function unpack(id) {
  const packed = atob(byId(id).textContent);
  byId(id).remove();
  const bytes = Uint8Array.from(packed, (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function clock(seconds) {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  const rest = String(Math.floor(tenths / 10) % 60).padStart(2, "0");
  return `${Math.floor(tenths / 600)}:${rest}.${tenths % 10}`;
}

function start(data, weights) {
  const sound = byId("sound"), place = byId("place"), frames = weights.length / data.shapes.length;
  const duration = Math.max(data.seconds, 1e-3);
  const face = byId("face");
  face.width = face.height = Math.round(620 * Math.min(devicePixelRatio, 2));
  place.max = duration;
  const now = {};
  let shown = -1, captioned = -1;

  function weightsAt(seconds) {
    const at = Math.min(Math.max(seconds * data.fps, 0), frames - 1), first = Math.floor(at);
    const share = at - first, next = Math.min(first + 1, frames - 1);
    data.shapes.forEach((name, index) => {
      const one = weights[first * data.shapes.length + index];
      const other = weights[next * data.shapes.length + index];
      now[name] = (one + share * (other - one)) / 255;
    });
    return now;
  }

  function strongest() {
    const order = Object.entries(now).filter(([, value]) => value >= LEAST);
    order.sort((one, other) => other[1] - one[1]);
    return order.slice(0, MOST).map(([name, value]) => `${name} ${value.toFixed(2)}`).join("  ");
  }

  function show(seconds) {
    if (seconds === shown) return;
    shown = seconds;
    Face.draw(face, weightsAt(seconds));
    byId("needle").style.left = `${(100 * seconds) / duration}%`;
    byId("time").textContent = `${clock(seconds)} / ${clock(duration)}`;
    byId("shapes").textContent = strongest();
    let last = 0;
    data.captions.forEach(([begin], index) => { if (begin <= seconds + 1e-6) last = index; });
    if (last === captioned) return;
    captioned = last;
    byId("caption").textContent = data.captions[last][1];
    byId("caption").classList.toggle("none", data.captions[last][1] === data.none);
  }

  function turn() {
    byId("sign").setAttribute("d", sound.paused ? PLAY : PAUSE);
    byId("play").setAttribute("aria-label", sound.paused ? "Play" : "Pause");
  }

  function tick() {
    place.value = sound.currentTime;
    show(Math.min(sound.currentTime, duration));
    if (!sound.paused) requestAnimationFrame(tick);
  }

  function go(seconds) {
    const to = Math.min(Math.max(seconds, 0), duration);
    sound.currentTime = to;
    place.value = to;
    show(to);
  }

  const toggle = () => (sound.paused ? sound.play().catch(turn) : sound.pause());
  byId("play").addEventListener("click", toggle);
  place.addEventListener("input", () => go(Number(place.value)));
  sound.addEventListener("play", () => { turn(); tick(); });
  sound.addEventListener("pause", turn);
  sound.addEventListener("ended", turn);
  document.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1 / data.fps, ArrowRight: 1 / data.fps };
    if (event.key === " ") toggle();
    else if (event.key === "Home") go(0);
    else if (event.key in steps) go(Number(place.value) + steps[event.key]);
    else return;
    event.preventDefault();
  });

  function drawPeaks() {
    const canvas = byId("peaks"), context = canvas.getContext("2d"), peaks = data.peaks;
    canvas.width = canvas.clientWidth * devicePixelRatio;
    canvas.height = canvas.clientHeight * devicePixelRatio;
    context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--faint");
    const step = canvas.width / peaks.length;
    peaks.forEach((peak, index) => {
      const high = Math.max(1, (peak / 255) * canvas.height);
      context.fillRect(index * step, (canvas.height - high) / 2, Math.max(1, step * 0.7), high);
    });
  }

  for (const [begin] of data.captions.slice(1)) {
    const mark = document.createElement("div");
    mark.style.left = `${(100 * Math.min(begin, duration)) / duration}%`;
    byId("marks").append(mark);
  }
  byId("problem").hidden = true;
  byId("player").hidden = false;
  drawPeaks();
  addEventListener("resize", drawPeaks);
  turn();
  go(0);
  window.preview = { go, shown: () => shown };
  document.documentElement.dataset.ready = String(frames);
}

Promise.all([unpack("data"), unpack("weights")])
  .then(([data, weights]) => start(JSON.parse(new TextDecoder().decode(data)), weights))
  .catch((error) => { byId("problem").textContent = `This page cannot be shown: ${error}`; });
