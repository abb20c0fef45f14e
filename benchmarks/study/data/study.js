// The study: a rater's code, then clip by clip what the plan says, then a file of answers.
// Answers are kept in localStorage after each change; nothing leaves the browser by itself.
"use strict";

(async () => {
  const HEAD = ["study", "rater", "trial", "clip", "question", "answer", "seconds", "plays"];
  const data = JSON.parse(new TextDecoder().decode(await unpack("data")));
  const source = Player.makeSource(data.parts, await unpack("media"), data.shapes);
  const { clips, raters, questions, scale } = data;

  let rater = "", trials = [], kept = null; // kept: { at, answers, seconds, plays } by trial
  let clip = null, reference = null, since = 0, failed = "";

  // Keeping

  const place = () => `expclip-study ${data.study} ${rater}`;

  function load() {
    kept = { at: 0, answers: {}, seconds: {}, plays: {} };
    try {
      const found = JSON.parse(localStorage.getItem(place()));
      if (found && typeof found === "object") Object.assign(kept, found);
    } catch { /* nothing readable: begin anew */ }
    kept.at = Math.min(Math.max(Math.trunc(kept.at) || 0, 0), trials.length);
  }

  function keep() {
    try {
      localStorage.setItem(place(), JSON.stringify(kept));
    } catch {
      byId("note").textContent =
        "This browser keeps no answers: save them before you close the page.";
    }
  }

  /** Add the time since the last call to the trial that is shown; a hidden page rests. */
  function clock() {
    const now = performance.now();
    if (!byId("trial").hidden && !document.hidden) {
      kept.seconds[kept.at] = (kept.seconds[kept.at] ?? 0) + (now - since) / 1000;
    }
    since = now;
  }

  // Questions

  const asked = (trial) => clips[trials[trial][0]].questions;
  const given = (trial) => kept.answers[trial] ?? {};
  const missing = (trial) => asked(trial).filter((name) => !(name in given(trial)));
  const seen = () => [clip, reference].every((one) => !one?.moves || one.plays > 0);
  const open = () => seen() || Object.keys(given(kept.at)).length > 0;

  function makeQuestion(name) {
    const set = element("fieldset");
    set.dataset.question = name;
    set.append(element("legend", "", questions[name]));
    const answers = element("div", "answers");
    scale.forEach((word, index) => {
      const label = element("label"), radio = element("input");
      radio.type = "radio";
      radio.name = name;
      radio.value = index + 1;
      radio.checked = given(kept.at)[name] === index + 1;
      radio.addEventListener("change", () => answer(name, index + 1));
      label.append(radio, element("b", "", index + 1), element("span", "", word));
      answers.append(label);
    });
    set.append(answers);
    return set;
  }

  function answer(name, value) {
    clock();
    kept.answers[kept.at] = { ...given(kept.at), [name]: value };
    kept.plays[kept.at] = Math.max(clip.plays, kept.plays[kept.at] ?? 0);
    keep();
    update();
  }

  /** Answer by key: the question that has the focus, or else the first that is open. */
  function answerByKey(value) {
    if (!open()) return;
    const focused = document.activeElement?.closest("fieldset")?.dataset.question;
    const name = focused ?? missing(kept.at)[0];
    if (!name) return;
    document.querySelector(`input[name="${name}"][value="${value}"]`).checked = true;
    answer(name, value);
    const [after] = missing(kept.at);
    const target = after ? document.querySelector(`input[name="${after}"]`) : byId("next");
    target.focus();
  }

  // The trial

  function show(name) {
    for (const id of ["start", "trial", "end"]) byId(id).hidden = id !== name;
    scrollTo(0, 0);
  }

  function go(to) {
    clock();
    clip?.halt();
    reference?.halt();
    kept.at = to;
    keep();
    if (to === trials.length) showEnd();
    else showTrial();
  }

  function mount(id, part, sound, key) {
    const stage = byId(id);
    stage.hidden = part === null;
    stage.replaceChildren(stage.firstElementChild);
    if (part === null) return null;
    const one = Player.mount(stage, source, part, sound, key, (what) => {
      failed = what === "ended" ? "" : what;
      update();
    });
    one.start = () => {
      for (const other of [clip, reference]) other?.halt();
      return one.play();
    };
    return one;
  }

  function showTrial() {
    const [code, check] = trials[kept.at], shown = clips[code];
    failed = "";
    show("trial");
    since = performance.now();
    const prompt = byId("prompt");
    prompt.hidden = check === null && shown.text === null;
    prompt.className = check === null ? "" : "check";
    prompt.dir = "auto";
    prompt.textContent = check === null ? visible(shown.text ?? "")
      : `Attention check: whatever you see, choose ${check} (${scale[check - 1]}) each time.`;
    clip = mount("clip", shown.shown, shown.sound, "P");
    reference = mount("reference", shown.reference, null, "R");
    byId("questions").replaceChildren(...shown.questions.map(makeQuestion));
    byId("count").textContent = `${kept.at + 1} of ${trials.length}`;
    const bar = byId("progress");
    bar.setAttribute("aria-valuemax", trials.length);
    bar.setAttribute("aria-valuenow", kept.at);
    bar.firstElementChild.style.width = `${(100 * kept.at) / trials.length}%`;
    byId("back").disabled = kept.at === 0;
    document.activeElement?.blur();
    update();
  }

  function update() {
    for (const set of document.querySelectorAll("#questions fieldset")) set.disabled = !open();
    byId("next").disabled = missing(kept.at).length > 0 && failed !== "broken";
    byId("next").textContent = failed === "broken" && missing(kept.at).length ? "Skip this clip"
      : kept.at + 1 === trials.length ? "Finish" : "Next";
    const both = reference?.moves && clip.moves;
    byId("note").textContent = failed === "broken" ? "This browser cannot play it: please skip this clip."
      : failed === "blocked" ? "The browser held back the sound: please press Play."
      : open() ? "" : both ? "Play both to the end, then answer."
      : "Play it to the end, then answer.";
  }

  function next() {
    if (!byId("next").disabled) go(kept.at + 1);
  }

  // The end

  function table() {
    const lines = [HEAD];
    trials.forEach(([code], trial) => {
      for (const name of asked(trial)) {
        const value = given(trial)[name];
        if (value === undefined) continue;
        const seconds = (kept.seconds[trial] ?? 0).toFixed(1);
        lines.push([data.study, rater, trial + 1, code, name, value, seconds, kept.plays[trial] ?? 0]);
      }
    });
    return lines.map((line) => line.join(",") + "\n").join("");
  }

  function save() {
    clock();
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
    link.download = `answers-${data.study}-${rater}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  function showEnd() {
    show("end");
    const without = trials.map((_, trial) => trial).filter((trial) => missing(trial).length);
    byId("finished").textContent = without.length
      ? `${trials.length - without.length} of ${trials.length} clips are rated. ` +
        `Without an answer: ${without.map((trial) => trial + 1).join(", ")}.`
      : `All ${trials.length} clips are rated.`;
    byId("table").value = table();
    byId("save").focus();
  }

  // The start

  function begin(code) {
    const known = code.trim().toUpperCase();
    if (!Object.hasOwn(raters, known)) {
      byId("refused").textContent = "This code is not in the list. Please check it letter by letter.";
      return;
    }
    rater = known;
    trials = raters[rater];
    load();
    go(kept.at);
  }

  function fromHash() {
    try {
      return decodeURIComponent(location.hash.slice(1));
    } catch { // not percent-encoded: a mail program has cut the link
      return "";
    }
  }

  function showStart() {
    const all = Object.values(clips);
    const moves = all.some(({ shown }) => !data.parts[shown].kind.startsWith("image/") &&
      (data.parts[shown].kind !== "face" || source.frames(shown) > 1));
    const lengths = Object.values(raters).map((one) => one.length);
    const checked = Object.values(raters).some((one) => one.some(([, check]) => check !== null));
    const hints = [
      `There are ${Math.max(...lengths)} of them.` + (checked
        ? " A few say which answer to give: they check that you read." : ""),
      moves && "Play each to its end before you answer; play it again as often as you like.",
      all.some(({ questions: names }) => names.includes("lip_sync")) &&
        "Please use headphones, in a quiet place.",
      all.some(({ text }) => text !== null) && "A text above the face says what it should express.",
      all.some(({ reference: one }) => one !== null) && "A reference beside it shows the emotion it should have.",
    ];
    byId("hints").append(...hints.filter(Boolean).map((hint) => element("li", "", hint)));
    scale.forEach((word, index) => {
      const one = element("span");
      one.append(element("b", "", index + 1), word);
      byId("scale").append(one);
    });
    byId("title").textContent = document.title = visible(data.title, SHORT);
    byId("rater").value = visible(fromHash(), 12);
    byId("enter").addEventListener("submit", (event) => {
      event.preventDefault();
      begin(byId("rater").value);
    });
    show("start");
    byId("rater").focus();
  }

  document.addEventListener("keydown", (event) => {
    if (byId("trial").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    const onButton = event.target.closest?.("button"), key = event.key.toLowerCase();
    if (key >= "1" && key <= String(scale.length) && key.length === 1) answerByKey(Number(key));
    else if (key === "p") clip.start();
    else if (key === "r") reference?.start();
    else if (key === "enter" && !onButton) next();
    else if (key === "backspace" && kept.at > 0) go(kept.at - 1);
    else return;
    event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => { if (kept) clock(); });
  byId("questions").addEventListener("submit", (event) => event.preventDefault());
  byId("back").addEventListener("click", () => go(kept.at - 1));
  byId("next").addEventListener("click", next);
  byId("early").addEventListener("click", save);
  byId("save").addEventListener("click", save);
  byId("review").addEventListener("click", () => {
    const open = trials.findIndex((_, trial) => missing(trial).length);
    go(open < 0 ? trials.length - 1 : open);
  });

  byId("problem").remove();
  showStart();
  document.documentElement.dataset.ready = Math.round(performance.now());
})();
