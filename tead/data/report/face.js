// The drawn face on a canvas: face/drawing.py, mouth.py and shapes.py, line by line.
// A test compares its pixels with those of the Python side.
"use strict";

const Face = (() => {
  const CANVAS = 400, MID = CANVAS / 2, CREASE = "#a9674c", BACKGROUND = "#e9eff1";
  const SKIN = "#efc4a1", SHADE = "#d99f7c", BLUSH = "#e58f76", GLOSS = "#fbe0c8";
  const LID = "#e9b994", LASH = "#3d2b29", BROW = "#4a3431", HAIR = "#503a36";
  const HAIR_GLOSS = "#6a4f49", EYE_WHITE = "#fdfcf9", IRIS = "#5d8a86", IRIS_RIM = "#35565a";
  const PUPIL = "#1d2629", SHIRT = "#6f97a3", SHIRT_SHADE = "#5d8592";
  const UPPER_LIP = "#b5655c", LOWER_LIP = "#cb8073", LIP_LINE = "#7c3a38";
  const LIP_GLOSS = "#e6aa9c", CAVITY = "#57222a", TEETH = "#fbf8f2", LOWER_TEETH = "#e9e2d8";
  const TEETH_GAP = "#d5cdc2", TONGUE = "#dd7c80", TONGUE_SHADE = "#b9585f";

  // Shapes

  /** Return a curve through the points (Catmull-Rom). */
  function smooth(points) {
    const ends = [points[0], ...points, points[points.length - 1]];
    const curve = [points[0]];
    for (let i = 0; i + 3 < ends.length; i++) {
      const [[ax, ay], [bx, by], [cx, cy], [dx, dy]] = ends.slice(i, i + 4);
      curve.push([bx + (cx - ax) / 6, by + (cy - ay) / 6]);
      curve.push([cx - (dx - bx) / 6, cy - (dy - by) / 6]);
      curve.push([cx, cy]);
    }
    return curve;
  }

  /** What the parts are drawn with. */
  class Pen {
    constructor(context) {
      this.context = context;
    }

    path(curves, fill, opacity = 1) {
      const context = this.context;
      context.beginPath();
      curves.forEach((curve, index) => {
        context[index ? "lineTo" : "moveTo"](...curve[0]);
        for (let i = 1; i < curve.length; i += 3) {
          context.bezierCurveTo(...curve[i], ...curve[i + 1], ...curve[i + 2]);
        }
      });
      context.closePath();
      this.fill(fill, opacity);
    }

    ellipse(x, y, rx, ry, fill, opacity = 1) {
      this.context.beginPath();
      this.context.ellipse(x, y, Math.max(rx, 0), Math.max(ry, 0), 0, 0, 2 * Math.PI);
      this.fill(fill, opacity);
    }

    fill(fill, opacity) {
      this.context.globalAlpha = Math.min(opacity, 1);
      this.context.fillStyle = fill;
      this.context.fill();
    }

    between(upper, lower, fill, opacity = 1) {
      this.path([smooth(upper), smooth([...lower].reverse())], fill, opacity);
    }

    /** Draw a lens: pointed at both ends, bent through the middle point, if it shows. */
    crease([a, [mx, my], b], width, opacity, fill = CREASE) {
      if (opacity < 0.05) return;
      const [ax, ay] = a, [bx, by] = b;
      const length = Math.hypot(bx - ax, by - ay) || 1;
      const nx = ((ay - by) / length) * width, ny = ((bx - ax) / length) * width;
      const edge = (start, end, bulge) => {
        const hx = (4 * (mx + bulge * nx) - (ax + bx) / 2) / 3;
        const hy = (4 * (my + bulge * ny) - (ay + by) / 2) / 3;
        const reach = 0.22;
        return [
          start,
          [hx + (start[0] - end[0]) * reach, hy + (start[1] - end[1]) * reach],
          [hx + (end[0] - start[0]) * reach, hy + (end[1] - start[1]) * reach],
          end,
        ];
      };
      this.path([edge(a, b, 0.5), edge(b, a, -0.5)], fill, opacity);
    }
  }

  /** One half of the face: sign +1 is the person's left, the picture's right. */
  function makeHalf(sign, w) {
    const half = (name) => w[name + (sign > 0 ? "Left" : "Right")];
    half.sign = sign;
    half.at = (dx, y) => [MID + sign * dx, y];
    half.line = (points) => points.map(([dx, y]) => half.at(dx, y));
    return half;
  }

  // Parts, from back to front

  function drawHead(pen, w) {
    const aside = 20 * (w.jawLeft - w.jawRight), down = 40 * w.jawOpen + 7 * w.jawForward;
    const puff = w.cheekPuff, forward = w.jawForward;
    const chin = 344 + down - 5 * w.mouthShrugLower;
    pen.between(
      [[36, 400], [62, 384], [124, 368], [200, 364], [276, 368], [338, 384], [364, 400]],
      [[36, 400], [364, 400]], SHIRT);
    pen.between([[152, 300], [248, 300]], [[146, 368], [200, 388], [254, 368]], SHADE);
    pen.between(
      [[142, 364], [200, 384], [258, 364]], [[136, 367], [200, 397], [264, 367]], SHIRT_SHADE);
    for (const sign of [-1, 1]) {
      pen.ellipse(MID + sign * 113, 196, 15, 25, SKIN);
      pen.ellipse(MID + sign * 115, 197, 8, 15, SHADE, 0.6);
    }
    const shift = [0, 0, 0, 0, 0, 0.35 * aside, aside, 1.1 * aside];
    const [left, right] = [-1, 1].map((sign) => [
      [0, 44], [72, 62], [109, 120], [113, 180], [108 + 12 * puff, 236],
      [93 + 24 * puff, 284 + 0.5 * down], [56 + 9 * forward + 6 * puff, 325 + 0.95 * down],
      [0, chin],
    ].map(([x, y], i) => [MID + sign * x + shift[i], y]));
    pen.path([smooth([...left, ...right.slice(0, -1).reverse()])], SKIN);
  }

  const CROWN = [
    [90, 184], [78, 130], [84, 84], [114, 42], [168, 17], [232, 16], [284, 40],
    [316, 88], [322, 134], [310, 184],
  ];
  const HAIRLINE = [
    [90, 184], [94, 144], [103, 116], [134, 99], [180, 91], [226, 77], [254, 60],
    [278, 80], [300, 112], [306, 144], [310, 184],
  ];
  const STRANDS = [
    [[250, 56], [190, 60], [122, 90]],
    [[244, 44], [178, 41], [106, 80]],
    [[222, 31], [170, 30], [126, 54]],
    [[258, 52], [288, 72], [307, 110]],
    [[264, 41], [296, 63], [312, 98]],
  ];

  function drawHair(pen) {
    pen.between(CROWN, HAIRLINE, HAIR);
    for (const strand of STRANDS) pen.crease(strand, 4, 0.75, HAIR_GLOSS);
  }

  function drawCheek(pen, w, half) {
    const raised = half("cheekSquint"), smile = half("mouthSmile"), puff = w.cheekPuff;
    let [x, y] = half.at(66, 240 - 9 * raised - 5 * smile);
    for (const size of [1, 0.88, 0.74, 0.58, 0.4]) {
      pen.ellipse(x, y, size * (26 + 4 * smile + 3 * raised), size * (16 + 2 * smile),
        BLUSH, 0.055 + 0.03 * raised + 0.02 * smile);
    }
    if (puff > 0) {
      [x, y] = half.at(80, 266);
      for (const radius of [38, 33, 28, 22, 15]) {
        pen.ellipse(x, y, radius, radius, GLOSS, 0.22 * puff);
      }
      pen.crease(half.line([[49, 238], [40, 268], [58, 304]]), 5, 0.7 * puff);
    }
    const fold = 0.8 * smile + 0.75 * half("noseSneer") + 0.5 * half("mouthUpperUp")
      + 0.1 * half("mouthStretch") + 0.4 * half("mouthDimple") + 0.15 * raised;
    const out = 12 * smile + 14 * half("mouthStretch") + 5 * half("mouthDimple");
    const lift = 7 * half("noseSneer") + 3 * half("mouthUpperUp");
    pen.crease(
      half.line([[25, 234 - lift], [46 + 0.6 * out, 248 - lift], [56 + out, 280 - 6 * smile]]),
      4, Math.min(fold, 0.85));
  }

  function drawForehead(pen, w, halves) {
    const inner = w.browInnerUp;
    for (let row = 0; row < 3; row++) {
      const y = 128 - 9 * row - 6 * inner;
      pen.crease([[166, y + 2], [200, y - 2], [234, y + 2]], 3, 0.7 * inner);
    }
    for (const half of halves) {
      const outer = half("browOuterUp");
      for (let row = 0; row < 2; row++) {
        const y = 121 - 9 * row - 4 * outer;
        pen.crease(half.line([[42, y], [66, y - 6], [88, y + 5]]), 3, 0.7 * outer);
      }
      const frown = half("browDown"), low = 160 + 4 * frown;
      pen.crease(half.line([[7, low - 20], [9, low - 8], [6, low + 6]]), 4, 0.85 * frown);
    }
  }

  function drawBrow(pen, w, half) {
    const inner = w.browInnerUp, outer = half("browOuterUp");
    const down = half("browDown"), sneer = half("noseSneer"), press = 1 - 0.7 * inner;
    const near = 16 * down * press - 24 * inner * (1 - 0.4 * outer) - 4 * outer + 5 * sneer;
    const next = 12 * down * press - 15 * inner * (1 - 0.3 * outer) - 11 * outer + 3 * sneer;
    const line = [
      [22 - 7 * down, 151 + near, 3],
      [27 - 7 * down, 150 + near, 9],
      [43 - 5 * down, 147 + next, 11],
      [63, 144 + 7 * down * press - 4 * inner - 19 * outer, 10],
      [81, 147 + 3 * down - 18 * outer + 3 * inner, 7],
      [95, 156 + down - 12 * outer + 6 * inner, 1.5],
    ];
    pen.between(
      line.map(([x, y, thick]) => half.at(x, y - thick / 2)),
      line.map(([x, y, thick]) => half.at(x, y + thick / 2)), BROW);
  }

  const LASH_WIDTH = [0.2, 0.75, 1, 1, 0.7];

  function drawEye(pen, half) {
    const blink = half("eyeBlink"), wide = half("eyeWide"), squint = half("eyeSquint");
    const cheek = half("cheekSquint"), sneer = half("noseSneer");
    const up = half("eyeLookUp"), down = half("eyeLookDown"), level = 188;
    let above = 14 + 9 * wide + 3 * up - 9 * down - 3 * squint - 2 * cheek;
    const below = 11 + 2.5 * wide - 7 * squint - 4 * cheek - 2 * sneer + 1.5 * down - 2 * up;
    above += blink * (1.5 - below - above);
    above = Math.max(above, 1.5 - below);
    const lid = (height) => half.line([
      [25, 191.5], [38, 189.5 - 0.74 * height], [54, level - height], [71, 187 - 0.78 * height],
      [84, 186],
    ]);
    const top = lid(above), bottom = lid(-below);
    const [cx, y] = half.at(
      54 + 13 * (half("eyeLookOut") - half("eyeLookIn")), level + 9 * down - 8 * up);
    pen.ellipse(half.at(54, 0)[0], level + 1, 31, 25, EYE_WHITE);
    pen.ellipse(cx, y, 14.5, 14.5, IRIS_RIM);
    pen.ellipse(cx, y, 12.3, 12.3, IRIS);
    pen.ellipse(cx, y, 6.6, 6.6, PUPIL);
    pen.ellipse(cx - 4, y - 5, 3, 3, "#ffffff");

    const socket = half.line([[18, 191], [28, 167], [54, 159], [82, 165], [92, 187]]);
    const under = half.line([[18, 191], [28, 210], [54, 217], [80, 211], [92, 187]]);
    pen.between(socket, top, LID);
    pen.between(bottom, under, SKIN);
    pen.between(top.map(([x, ty], i) => [x, ty - 3.6 * LASH_WIDTH[i]]), top, LASH);
    pen.between(bottom, bottom.map(([x, by]) => [x, by + 1.4]), CREASE, 0.7);

    const fold = level - Math.max(above, -2) - 8 + 2 * wide, pouch = level + below;
    pen.crease(half.line([[30, 183 - wide * 3], [54, fold], [84, 180]]), 2.6, 0.7);
    pen.crease(half.line([[34, pouch + 3], [54, pouch + 9], [76, pouch + 1]]),
      3, 0.75 * Math.max(squint, 0.6 * cheek));
    pen.crease(half.line([[38, 214], [60, 217 - 4 * cheek], [90, 203 - 3 * cheek]]),
      3.4, 0.8 * cheek);
    const feet = Math.max(cheek, 0.5 * squint);
    [[18, -9], [20, 1], [17, 11]].forEach(([dx, dy], row) => {
      const start = 184 + 6 * row;
      pen.crease(
        half.line([[88, start], [88 + dx / 2, start + dy / 2 - 1], [88 + dx, start + dy]]),
        2.6, 0.8 * feet);
    });
  }

  function drawNose(pen, halves) {
    for (const half of halves) {
      const sneer = half("noseSneer"), lift = 8 * sneer;
      pen.crease(half.line([[13, 176], [10, 200], [15, 222]]), 3, 0.22);
      pen.crease(half.line([[17, 222 - lift], [25 + 3 * sneer, 236 - lift], [15, 245 - lift]]),
        3.6, 0.75);
      pen.crease(half.line([[4, 246 - 0.4 * lift], [10, 241 - 0.8 * lift], [16, 245 - lift]]),
        5, 1);
      for (let row = 0; row < 3; row++) {
        const y = 188 + 10 * row;
        pen.crease(half.line([[2, y + 2], [9, y], [17 + 2 * row, y - 6]]), 2.8, 0.75 * sneer);
      }
      pen.crease(half.line([[17, 212], [24, 217], [27, 229]]), 3, 0.6 * sneer);
    }
    pen.crease([[190, 249], [200, 252], [210, 249]], 2.6, 0.6);
  }

  // The mouth, sampled at nine places from the picture's left to its right

  const U = [-1, -0.82, -0.58, -0.3, 0, 0.3, 0.58, 0.82, 1];
  const TO_CORNER = U.map((u) => Math.abs(u) ** 2.1);
  const OPENING = U.map((u) => (1 - Math.abs(u) ** 2.4) ** 0.6);
  const UPPER_SHAPE = [0, 0.42, 0.78, 1, 0.8, 1, 0.78, 0.42, 0];
  const LOWER_SHAPE = [0, 0.5, 0.82, 0.97, 1, 0.97, 0.82, 0.5, 0];
  const BOW = [0, 0.3, 0, -0.7, 1.4, -0.7, 0, 0.3, 0];
  const CONTACT = 2.5;

  function bite(w) {
    const more = w.mouthRollLower - w.mouthRollUpper;
    return Math.max(0, (more - 0.15) / 0.85) * (1 - w.jawOpen);
  }

  function bridged(w) {
    return Math.min(1, w.mouthClose / Math.max(w.jawOpen, 1e-6));
  }

  function mouthSide(w, half) {
    const smile = half("mouthSmile"), frown = half("mouthFrown"), stretch = half("mouthStretch");
    const dimple = half("mouthDimple"), press = half("mouthPress");
    const up = half("mouthUpperUp"), down = half("mouthLowerDown");
    const pucker = w.mouthPucker, funnel = w.mouthFunnel, jaw = w.jawOpen;
    const width = 45 + 14 * smile + 21 * stretch + 10 * dimple - 6 * jaw
      - 22 * pucker - 17 * funnel - 5 * w.cheekPuff;
    const thin = (1 - 0.6 * press) * (1 - 0.2 * smile) * (1 - 0.25 * stretch);
    const closing = 1 - bridged(w), closed = 1 - 0.15 * w.mouthClose;
    return {
      width: Math.max(width, 15),
      corner: 16 * frown - 18 * smile + 6 * stretch - 6 * dimple + 9 * jaw - 2 * up + 2 * down,
      raised: 11 * up + 3 * half("noseSneer") + 7 * funnel + 4 * jaw * closing + 5 * bite(w),
      dropped: 44 * jaw * closing + 14 * down + 15 * funnel + 8 * w.tongueOut,
      upper: 9 * thin * (1 - 0.9 * w.mouthRollUpper) * closed
        + 5 * pucker + 4 * funnel + 4 * w.mouthShrugUpper - 3 * w.jawForward,
      lower: 12 * thin * (1 - 0.9 * w.mouthRollLower) * closed
        + 5 * pucker + 5 * funnel + 4 * w.mouthShrugLower + 5 * w.jawForward + 8 * bite(w),
      wave: 1 - smile,
    };
  }

  function lipEdges(w, right, left) {
    const centre = {};
    for (const name of Object.keys(right)) centre[name] = (right[name] + left[name]) / 2;
    const middle = MID + 17 * (w.mouthLeft - w.mouthRight);
    const aside = 15 * (w.jawLeft - w.jawRight);
    const level = 285 - 9 * w.mouthShrugLower - 5 * w.mouthShrugUpper - 4 * w.jawForward
      + 24 * w.jawOpen * bridged(w) + 2 * w.mouthClose;
    const wave = Math.max(0, 1 - w.mouthPucker - w.mouthFunnel - w.jawOpen)
      * (1 - Math.abs(aside) / 15);
    const lips = { outerTop: [], top: [], bottom: [], outerBottom: [] };
    U.forEach((u, i) => {
      const side = u > 0 ? left : u < 0 ? right : centre;
      const x = middle + u * side.width + 0.35 * aside;
      const xLow = x + 0.65 * aside * OPENING[i];
      const y = level + TO_CORNER[i] * side.corner + BOW[i] * wave * side.wave
        - 0.2 * (1 - TO_CORNER[i]) * side.corner;
      const apart = Math.max(0, 1 - CONTACT / (side.raised + side.dropped + 0.01));
      const top = y - OPENING[i] * side.raised * apart;
      const bottom = y + OPENING[i] * side.dropped * apart;
      lips.outerTop.push([x, top - UPPER_SHAPE[i] * side.upper]);
      lips.top.push([x, top]);
      lips.bottom.push([xLow, bottom]);
      lips.outerBottom.push([xLow, bottom + LOWER_SHAPE[i] * side.lower]);
    });
    return lips;
  }

  /** Fill the area between two edges where it is open. */
  function drawGap(pen, top, bottom, fill) {
    const wide = U.map((_, i) => i).filter((i) => bottom[i][1] - top[i][1] > 1);
    if (!wide.length) return;
    const from = Math.max(wide[0] - 1, 0), to = wide[wide.length - 1] + 2;
    pen.between(top.slice(from, to), bottom.slice(from, to), fill);
  }

  function drawInside(pen, w, { top, bottom }) {
    const rim = U.map((u) => 1.3 * (1 - u * u));
    pen.between(
      top.map(([x, y], i) => [x, y - rim[i]]), bottom.map(([x, y], i) => [x, y + rim[i]]),
      LIP_LINE);
    const gap = bottom[4][1] - top[4][1];
    drawGap(pen, top, bottom, CAVITY);
    const height = 0.5 * (gap - 12) * Math.min(1, 4 * w.jawOpen);
    if (height > 0.3) {
      const x = bottom[4][0];
      const dome = bottom.map(([bx, by], i) =>
        [bx, Math.max(top[i][1], by - height * Math.max(0, 1 - (bx - x) ** 2 / 900))]);
      drawGap(pen, dome, bottom, TONGUE);
    }
    const upperRow = 292 - 16 * w.mouthFunnel, lowerRow = 291 + 44 * w.jawOpen;
    const teeth = top.map(([tx, ty], i) =>
      [tx, Math.min(bottom[i][1], Math.max(ty, upperRow - 3 * U[i] ** 2))]);
    drawGap(pen, top, teeth, TEETH);
    const lower = bottom.map(([bx, by], i) =>
      [bx, Math.max(teeth[i][1], Math.min(by, lowerRow + 2 * U[i] ** 2))]);
    drawGap(pen, lower, bottom, LOWER_TEETH);
  }

  function drawLipRelief(pen, w, { top, bottom, outerBottom }) {
    const [x, y] = bottom[4], thick = outerBottom[4][1] - y;
    pen.ellipse(x, y + 0.52 * thick, 11, 0.16 * thick, LIP_GLOSS, 0.6);
    for (const dx of [-9, 0, 9]) {
      for (const [edge, sign] of [[top, -1], [bottom, 1]]) {
        const cx = edge[4][0] + dx, cy = edge[4][1];
        pen.crease(
          [[cx, cy + sign * 3], [cx + dx * 0.1, cy + sign * 6], [cx + dx * 0.3, cy + sign * 10]],
          1.8, 0.5 * w.mouthPucker, LIP_LINE);
      }
    }
  }

  const INCISORS = [[-17, 4.8, 8], [17, 4.8, 8], [-6.2, 6.2, 10.5], [6.2, 6.2, 10.5]];

  function drawBitingTeeth(pen, w, { top }) {
    const held = bite(w);
    if (held < 0.05) return;
    const [x, y] = top[4];
    for (const [place, halfWidth, length] of INCISORS) {
      const tip = y + 2 + length * held, from = x + place - halfWidth, to = x + place + halfWidth;
      pen.between([[from, y], [to, y]],
        [[from, y], [from + 0.4, tip - 2], [from + 2, tip], [to - 2, tip], [to - 0.4, tip - 2],
          [to, y]], TEETH);
    }
    for (const dx of [-12.3, 0, 12.3]) {
      pen.crease([[x + dx, y], [x + dx, y + 4 * held], [x + dx, y + 1 + 9 * held]],
        1.4, 0.9, TEETH_GAP);
    }
  }

  function drawCorner(pen, half, [x, y]) {
    const s = half.sign, dimple = half("mouthDimple"), frown = half("mouthFrown");
    const press = half("mouthPress");
    const dent = Math.max(dimple, 0.5 * half("mouthSmile"), 0.6 * half("mouthStretch"));
    pen.crease([[x + s * 5, y - 9], [x + s * (8 + 3 * dimple), y], [x + s * 5, y + 9]],
      4, 0.9 * dent);
    pen.crease([[x + s, y + 1], [x + s * 8, y + 7], [x + s * 8, y + 22]], 4, 0.9 * frown);
    pen.crease([[x - s * 30, y + 13], [x - s * 14, y + 13], [x + s, y + 6]], 3.4, 0.8 * press);
    pen.crease([[x - s * 30, y - 11], [x - s * 14, y - 10], [x + s, y - 5]], 3.4, 0.6 * press);
  }

  const CHIN_DIMPLES = [[-13, 24], [0, 21], [13, 24], [-7, 31], [7, 31], [0, 37]];

  function drawChin(pen, w, { outerBottom }) {
    const [x, y] = outerBottom[4], raised = w.mouthShrugLower, forward = w.jawForward;
    const depth = Math.min(0.9, 0.4 + 0.5 * raised + 0.5 * forward + 0.3 * w.mouthPucker);
    const halfWidth = 20 + 8 * forward + 4 * raised;
    pen.crease([[x - halfWidth, y + 9], [x, y + 5], [x + halfWidth, y + 9]],
      4 + 3 * forward, depth);
    if (forward > 0) {
      for (const size of [1, 0.75, 0.5]) {
        pen.ellipse(x, y + 25, 32 * size, 15 * size, GLOSS, 0.35 * forward);
      }
    }
    if (raised > 0) {
      for (const size of [1, 0.7]) {
        pen.ellipse(x, y + 27, 28 * size, 16 * size, SHADE, 0.28 * raised);
      }
      for (const [dx, dy] of CHIN_DIMPLES) {
        pen.crease(
          [[x + dx - 4, y + dy - 1], [x + dx, y + dy + 1], [x + dx + 4, y + dy - 1]],
          2.4, 0.6 * raised);
      }
    }
  }

  function drawTongueOut(pen, w, { bottom }) {
    const out = w.tongueOut;
    if (out < 0.02) return;
    const [x, y] = bottom[4], shown = Math.min(1, out / 0.3);
    const root = y - 7 * shown, tip = y + shown * (6 + 30 * out);
    const wide = (0.4 + 0.6 * shown) * (12 + 6 * out);
    const left = [
      [x - wide, root], [x - wide - 1, (root + tip) / 2], [x - 0.6 * wide, tip - 4], [x, tip],
    ];
    pen.between(left, left.map(([px, py]) => [2 * x - px, py]), TONGUE);
    pen.crease([[x, root + 4], [x, (root + tip) / 2], [x, tip - 9]], 3, 0.8, TONGUE_SHADE);
  }

  function drawMouth(pen, w, halves) {
    const lips = lipEdges(w, mouthSide(w, halves[0]), mouthSide(w, halves[1]));
    drawChin(pen, w, lips);
    for (const half of halves) drawCorner(pen, half, lips.top[half.sign > 0 ? 8 : 0]);
    pen.between(lips.outerTop, lips.top, UPPER_LIP);
    pen.between(lips.bottom, lips.outerBottom, LOWER_LIP);
    drawInside(pen, w, lips);
    drawLipRelief(pen, w, lips);
    drawBitingTeeth(pen, w, lips);
    drawTongueOut(pen, w, lips);
  }

  /** Draw a face into a square canvas; `w` holds the 52 weights, 0..1, by name. */
  function draw(canvas, w) {
    const context = canvas.getContext("2d");
    const scale = canvas.width / CANVAS;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.globalAlpha = 1;
    context.fillStyle = BACKGROUND;
    context.fillRect(0, 0, CANVAS, CANVAS);
    const pen = new Pen(context), halves = [makeHalf(-1, w), makeHalf(1, w)];
    drawHead(pen, w);
    for (const half of halves) drawCheek(pen, w, half);
    drawForehead(pen, w, halves);
    drawHair(pen);
    for (const half of halves) {
      drawEye(pen, half);
      drawBrow(pen, w, half);
    }
    drawNose(pen, halves);
    drawMouth(pen, w, halves);
  }

  return { draw };
})();
