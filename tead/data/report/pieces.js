// Pieces of the page: what is read from its data blocks, and the elements it becomes.
// Nothing from the data is ever markup: it goes into textContent, shortened and made visible.
"use strict";

const SHORT = 600, LONG = 20000;
const byId = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");
const percent = (value) => (100 * value).toFixed(1) + "%";

/** Return the bytes of an embedded block: base64 over gzip. */
async function unpack(id) {
  const packed = atob(byId(id).textContent);
  byId(id).remove();
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Return text whose invisible and direction-changing characters can be seen. */
function visible(text, most = LONG) {
  const shown = text.length > most ? text.slice(0, most) + "…" : text;
  return shown.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
    (char) => `⟨U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

function element(tag, name = "", text = "") {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== "") node.textContent = visible(String(text));
  return node;
}

/** Return a bar with a name, layers in its track, and a number. */
function makeBar(tag, name, layers) {
  const bar = element(tag, "bar");
  if (tag === "button") bar.type = "button";
  const track = element("div", "track");
  for (const layer of layers) track.append(element("div", layer));
  bar.append(name, track, element("span", "number"));
  return bar;
}

function setBar(bar, shares, value, pressed) {
  shares.forEach((share, i) => { bar.children[1].children[i].style.width = `${100 * share}%`; });
  bar.lastChild.textContent = value;
  if (pressed !== undefined) bar.setAttribute("aria-pressed", pressed);
}

function option(value, text) {
  const node = element("option", "", text);
  node.value = value;
  return node;
}
