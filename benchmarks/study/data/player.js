// A stage: a drawn face, a picture or a video, with a button that plays it.
"use strict";

const Player = (() => {
  /** What all stages draw from: the parts of the page, their bytes, the names of the weights. */
  function makeSource(parts, bytes, shapes) {
    const urls = new Map();
    return {
      part: (number) => parts[number],
      /** Return an address of a part, for as long as the page lives. */
      url(number) {
        if (!urls.has(number)) {
          const { kind, start, end } = parts[number];
          urls.set(number, URL.createObjectURL(new Blob([bytes.subarray(start, end)], { type: kind })));
        }
        return urls.get(number);
      },
      frames: (number) => (parts[number].end - parts[number].start) / shapes.length,
      face(number, frame) {
        const at = parts[number].start + frame * shapes.length;
        return Object.fromEntries(shapes.map((name, i) => [name, bytes[at + i] / 255]));
      },
    };
  }

  /** A drawn face that keeps time with its sound, or with the clock where it has none. */
  class DrawnFace {
    constructor(source, number, sound) {
      Object.assign(this, { source, number });
      this.fps = source.part(number).fps;
      this.frames = source.frames(number);
      this.node = document.createElement("canvas");
      this.node.width = this.node.height = 640;
      if (sound !== null) this.sound = new Audio(source.url(sound));
      this.moves = this.frames > 1;
      this.draw(0);
    }

    draw(frame) {
      if (frame === this.drawn) return;
      this.drawn = frame;
      Face.draw(this.node, this.source.face(this.number, frame));
    }

    async play(ended) {
      this.stop();
      const run = this.run = {};
      if (this.sound) {
        this.sound.currentTime = 0;
        await this.sound.play();
        if (run !== this.run) return;
      }
      const length = this.frames / this.fps, began = performance.now();
      const step = () => {
        if (run !== this.run) return;
        let time = (performance.now() - began) / 1000;
        if (this.sound && !this.sound.ended) time = this.sound.currentTime;
        else if (this.sound) time = Math.max(time, this.sound.duration);
        this.draw(Math.min(Math.floor(time * this.fps), this.frames - 1));
        if (time >= length && (!this.sound || this.sound.ended)) ended();
        else requestAnimationFrame(step);
      };
      step();
    }

    stop() {
      this.run = null;
      this.sound?.pause();
    }
  }

  /** A video as it is; its own controls would show its length, and let it be searched. */
  class Video {
    constructor(source, number) {
      this.node = document.createElement("video");
      this.node.playsInline = true;
      this.node.preload = "auto";
      this.node.src = source.url(number);
      this.moves = true;
    }

    async play(ended) {
      this.node.onended = ended;
      this.node.currentTime = 0;
      await this.node.play();
    }

    stop() {
      this.node.onended = null;
      this.node.pause();
    }
  }

  class Picture {
    constructor(source, number) {
      this.node = document.createElement("img");
      this.node.alt = "The face to look at";
      this.node.src = source.url(number);
      this.moves = false;
    }

    stop() {}
  }

  /** Put a part on a stage. `tell` is called at each end, and with what failed. */
  function mount(stage, source, number, sound, key, tell) {
    const { kind } = source.part(number);
    const shown = kind === "face" ? new DrawnFace(source, number, sound)
      : new (kind.startsWith("video/") ? Video : Picture)(source, number);
    shown.node.setAttribute("aria-label", shown.moves ? "A moving face" : "A face");
    shown.node.onerror = () => tell("broken");
    if (shown.sound) shown.sound.onerror = () => tell("broken");
    const button = element("button", "play", "");
    button.type = "button";
    const label = (text) => button.replaceChildren(text, " ", element("kbd", "", key));
    label("▶ Play");
    button.hidden = !shown.moves;
    const state = { moves: shown.moves, plays: 0, playing: false };
    state.stop = () => shown.stop();
    state.play = async () => {
      if (!shown.moves) return;
      state.playing = true;
      label("… playing");
      try {
        await shown.play(() => {
          state.playing = false;
          state.plays += 1;
          label("↻ Play again");
          tell("ended");
        });
      } catch (error) {
        state.playing = false;
        label("▶ Play");
        if (error.name !== "AbortError") tell(error.name === "NotAllowedError" ? "blocked" : "broken");
      }
    };
    state.halt = () => {
      if (!state.playing) return;
      shown.stop();
      state.playing = false;
      label(state.plays ? "↻ Play again" : "▶ Play");
    };
    button.addEventListener("click", () => state.start());
    const frame = element("div", "frame");
    frame.append(shown.node);
    stage.append(frame, button);
    return state;
  }

  return { makeSource, mount };
})();
