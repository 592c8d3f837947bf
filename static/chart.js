// The cursor of a graph: values by mouse, by touch and by keyboard. The page is whole without it.
// Data: [[place 0..1, when, value, range?], ...] beside the graph; the plot's place is in the drawing's data-plot.
(() => {
  "use strict";
  const root = document.documentElement;
  const known = new WeakMap();
  root.classList.add("js");

  const add = (parent, tag, name) => {
    const node = parent.appendChild(document.createElement(tag));
    node.className = name;
    return node;
  };

  // A figure may be replaced when the page refreshes, so nothing is bound to one: it is read at its first use.
  const of = (figure) => {
    let state = known.get(figure);
    if (state) return state;
    let rows = [];
    try { rows = JSON.parse(figure.querySelector(".graph-data").textContent); } catch { return null; }
    if (!rows.length) return null;
    const box = figure.querySelector(".chart");
    const slider = figure.querySelector(".graph-cursor");
    slider.max = rows.length - 1;
    slider.value = rows.length - 1;
    const hair = add(box, "div", "hair"), bubble = add(box, "div", "bubble");
    const strong = add(bubble, "b", ""), rest = add(bubble, "span", "");
    hair.hidden = bubble.hidden = true;
    bubble.setAttribute("aria-hidden", "true");
    state = { rows, box, slider, hair, bubble, strong, rest };
    known.set(figure, state);
    return state;
  };

  // The drawing that this width shows, and its plot in pixels of the screen.
  const plot = (box) => {
    for (const svg of box.querySelectorAll("svg[data-plot]")) {
      const seen = svg.getBoundingClientRect();
      if (seen.width) {
        const scale = seen.width / svg.viewBox.baseVal.width;
        const [x, y, w, h] = svg.dataset.plot.split(" ").map((part) => part * scale);
        return { left: seen.left, x, y, w, h };
      }
    }
    return null;
  };

  const show = (state, index) => {
    const at = plot(state.box);
    const row = state.rows[index];
    if (!at || !row) return;
    const x = at.x + at.w * row[0];
    state.hair.style.left = `${x}px`;
    state.hair.style.top = `${at.y}px`;
    state.hair.style.height = `${at.h}px`;
    state.strong.textContent = row[2];
    state.rest.textContent = row[3] ? `${row[1]} (${row[3]})` : row[1];
    state.hair.hidden = state.bubble.hidden = false;
    // Beside the hair, on the side that has the room: the value itself stays in sight.
    const wide = state.bubble.offsetWidth, room = state.box.clientWidth - wide;
    const left = x + 9 <= room ? x + 9 : x - 9 - wide;
    state.bubble.style.left = `${Math.max(0, Math.min(room, left))}px`;
    state.slider.value = index;
    state.slider.setAttribute("aria-valuetext", `${row[1]} : ${row[2]}${row[3] ? ` (${row[3]})` : ""}`);
  };

  const hide = (state) => { state.hair.hidden = state.bubble.hidden = true; };

  const nearest = (rows, place) => {
    let low = 0, high = rows.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (rows[middle][0] < place) low = middle; else high = middle;
    }
    return place - rows[low][0] < rows[high][0] - place ? low : high;
  };

  const figureOf = (event) => event.target.closest?.("[data-graph]");
  let last = null;

  // A tap fires no move, so both are listened to.
  const point = (event) => {
    const figure = event.target.closest?.(".graph .v-chart") ? figureOf(event) : null;
    if (last && last !== figure && event.pointerType === "mouse") { hide(of(last)); last = null; }
    const state = figure && of(figure);
    const at = state && plot(state.box);
    if (!at) return;
    last = figure;
    show(state, nearest(state.rows, (event.clientX - at.left - at.x) / at.w));
  };
  document.addEventListener("pointermove", point);
  document.addEventListener("pointerdown", point);
  document.addEventListener("input", (event) => {
    if (event.target.matches(".graph-cursor")) {
      const state = of(figureOf(event));
      if (state) show(state, +event.target.value);
    }
  });
  document.addEventListener("focusin", (event) => {
    if (event.target.matches(".graph-cursor")) {
      const state = of(figureOf(event));
      if (state) show(state, +state.slider.value);
    }
  });
  document.addEventListener("focusout", (event) => {
    if (event.target.matches(".graph-cursor")) {
      const state = of(figureOf(event));
      if (state) hide(state);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && last) { hide(of(last)); last = null; }
  });
})();
