"use strict";
// Draws the charts of a report. Each is one view (what is hidden, which part is shown, where the reader is) and is
// drawn anew from it. The data are in the page; nothing is ever fetched.
(() => {
  const SVG = document.querySelector("svg").namespaceURI;
  const WIDTH = 640, HEIGHT = 240, LEFT = 56, RIGHT = 12, TOP = 10, BOTTOM = 38;
  const INNER = WIDTH - LEFT - RIGHT, FLOOR = HEIGHT - BOTTOM;
  const COLORS = 8, DASHES = 4;
  const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

  const number = (value, digits = 4) =>
    value.toLocaleString("en", Math.abs(value) >= 10 ** digits ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: digits });
  const two = (value) => String(value).padStart(2, "0");
  const clock = (seconds) => {
    const whole = Math.round(seconds), hours = Math.floor(whole / 3600);
    return `${hours}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  };
  const withUnit = (value, unit) => (unit === "$" ? `$${number(value)}` : number(value) + (unit && (unit === "/s" ? unit : ` ${unit}`)));
  const color = (hue) => (hue < 0 ? "total" : `s${hue % COLORS} d${Math.floor(hue / COLORS) % DASHES}`);

  function svg(name, attributes, ...children) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }
  function html(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // What each form of chart does: the whole of its horizontal axis, where the reader can stop, what is drawn of a line.
  const FORMS = {
    time: {
      whole: (chart) => [0, Math.max(...chart.lines.map((line) => line.at.at(-1)))],
      stops: (chart) => chart.lines.flatMap((line) => line.at.slice(0, -1)),
      index: (line, x) => line.at.findLastIndex((edge, place) => edge <= x && place < line.values.length),
      ticks: (from, to) => ticks(from, to, SECONDS.find((step) => (to - from) / step <= 7) || step((to - from) / 7)),
      label: (x) => clock(x),
      draw: steps,
    },
    curve: {
      whole: (chart) => {
        const all = chart.lines.flatMap((line) => line.at), low = Math.min(...all), high = Math.max(...all);
        const beside = (high - low) / 50 || 1; // the first and the last point are whole
        return [low - beside, high + beside];
      },
      stops: (chart) => chart.lines.flatMap((line) => line.at),
      index: (line, x) => line.at.indexOf(x),
      ticks: (from, to) => ticks(from, to, step((to - from) / 7)),
      label: (x, chart) => `${chart.across} ${number(x)}`,
      draw: curve,
    },
    bars: {
      whole: (chart) => [-0.5, chart.categories.length - 0.5],
      stops: (chart) => chart.categories.map((_, place) => place),
      index: (line, x) => line.at.indexOf(x),
      ticks: (from, to, chart) => chart.categories.map((_, place) => place).filter((place) => place >= from && place <= to),
      label: (x, chart) => chart.categories[x],
      draw: bars,
    },
  };

  function step(rough) {
    const size = 10 ** Math.floor(Math.log10(rough));
    return size * [1, 2, 5, 10].find((times) => times * size >= rough * 0.999);
  }
  function ticks(from, to, by) {
    const first = Math.ceil(from / by - 1e-9);
    return Array.from({ length: Math.max(0, Math.floor(to / by + 1e-9) - first + 1) }, (_, place) => (first + place) * by);
  }

  function steps(line, { x, y }) {
    const path = line.values.map((value, place) => `H${x(line.at[place])}V${y(value)}`).join("");
    return [
      ...line.shaded.map(([from, to]) => svg("rect", { class: "shade", x: x(from), y: TOP, width: Math.max(x(to) - x(from), 1), height: FLOOR - TOP })),
      svg("path", { class: "line", d: `M${x(line.at[0])} ${y(line.values[0])}${path}H${x(line.at.at(-1))}` }),
    ];
  }
  function curve(line, { x, y }) {
    const points = line.at.map((at, place) => [x(at), y(line.values[place])]);
    const known = line.at.map((at, place) => place).filter((place) => line.low[place] !== null);
    const side = (bounds) => known.map((place) => `${x(line.at[place])} ${y(bounds[place])}`);
    const made = [svg("path", { class: "line", d: `M${points.map((point) => point.join(" ")).join("L")}` })];
    if (known.length > 1) made.unshift(svg("path", { class: "band", d: `M${[...side(line.low), ...side(line.high).reverse()].join("L")}Z` }));
    return [...made, ...points.map(([cx, cy]) => svg("circle", { class: "dot", cx, cy, r: 3 }))];
  }
  function bars(line, { x, y, order, count }) {
    const width = 0.8 / count;
    return line.values.flatMap((value, place) => {
      const left = x(line.at[place] - 0.4 + order * width), right = x(line.at[place] - 0.4 + (order + 1) * width);
      const made = [svg("rect", { class: "bar", x: left + 1, y: y(value), width: Math.max(right - left - 2, 1), height: FLOOR - y(value) })];
      if (line.low[place] == null) return made;
      const middle = (left + right) / 2, [low, high] = [y(line.low[place]), y(line.high[place])];
      return [...made, svg("path", { class: "whisker", d: `M${middle} ${low}V${high}M${middle - 4} ${low}h8M${middle - 4} ${high}h8` })];
    });
  }

  // The vertical axis: from nothing on, except for a curve, whose ups and downs are what it is drawn for.
  function heights(view) {
    const { chart, form, from, to } = view, seen = [];
    view.shown().forEach((line) => line.values.forEach((value, place) => {
      const begin = line.at[place], end = chart.form === "time" ? line.at[place + 1] : begin;
      if (end >= from && begin <= to) seen.push(value, line.low[place] ?? value, line.high[place] ?? value);
    }));
    const top = Math.max(...seen, 0), bottom = chart.form === "curve" && seen.length ? Math.min(...seen) : 0;
    const by = step((top - Math.max(bottom, 0) || top || 1) / 5);
    const high = Math.ceil(top / by - 1e-9) * by || by, low = Math.max(Math.floor(bottom / by + 1e-9) * by, 0);
    return { low, high: high > low ? high : low + by, by };
  }

  function draw(view) {
    const { chart, form, picture, from, to } = view, { low, high, by } = heights(view);
    const x = (at) => LEFT + ((at - from) / (to - from)) * INNER;
    const y = (value) => FLOOR - ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (FLOOR - TOP);
    const clip = `clip-${view.number}`, shown = view.shown();
    picture.replaceChildren(
      svg("clipPath", { id: clip }, svg("rect", { x: LEFT, y: 0, width: INNER, height: HEIGHT })),
      ...ticks(low, high, by).flatMap((value) => [
        svg("path", { class: "grid", d: `M${LEFT} ${y(value)}h${INNER}` }),
        svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)),
      ]),
      ...form.ticks(from, to, chart).map((at) => svg("text", { x: x(at), y: FLOOR + 16, "text-anchor": "middle" }, chart.form === "curve" ? number(at) : form.label(at, chart))),
      svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, chart.form === "time" ? "h:mm:ss" : chart.across),
      svg("g", { "clip-path": `url(#${clip})` }, ...shown.map((line, order) => svg("g", { class: color(line.hue) }, ...form.draw(line, { x, y, order, count: shown.length })))),
      view.mark,
    );
    view.x = x;
    read(view);
  }

  // What is known at the reader's place, as a sentence; the mark shows where that is.
  function read(view) {
    const { chart, form, mark, output, stops, stop } = view;
    mark.replaceChildren();
    if (stop === null) return void (output.textContent = "");
    const at = stops[stop], left = view.x(at);
    mark.append(svg("path", { class: "cursor", d: `M${left} ${TOP}V${FLOOR}` }));
    const said = view.shown().flatMap((line) => {
      const place = form.index(line, at);
      if (place < 0) return [];
      const sure = line.low[place] == null ? "" : ` [${number(line.low[place], 5)}, ${number(line.high[place], 5)}]`;
      const struck = line.shaded.some(([from, to]) => from < (line.at[place + 1] ?? at) && to > at) ? " (trouble)" : "";
      return [`${line.name} ${withUnit(line.values[place], chart.unit)}${sure}${struck}`];
    });
    output.textContent = `${form.label(at, chart)}: ${said.join(" · ")}`;
  }

  function show(view, from, to) {
    const [first, last] = view.form.whole(view.chart);
    view.from = Math.max(first, from);
    view.to = Math.min(last, to);
    view.reset.hidden = view.from === first && view.to === last;
    draw(view);
  }
  const whole = (view) => show(view, ...view.form.whole(view.chart));
  function zoom(view, times) {
    const middle = view.stop === null ? (view.from + view.to) / 2 : view.stops[view.stop], half = ((view.to - view.from) * times) / 2;
    show(view, middle - half, middle + half);
  }
  function go(view, stop) {
    view.stop = Math.min(Math.max(stop, 0), view.stops.length - 1);
    const at = view.stops[view.stop], width = view.to - view.from;
    if (at < view.from) show(view, at, at + width);
    else if (at > view.to) show(view, at - width, at);
    else read(view);
  }

  const KEYS = {
    ArrowLeft: (view) => go(view, view.stop === null ? view.stops.length - 1 : view.stop - 1),
    ArrowRight: (view) => go(view, view.stop === null ? 0 : view.stop + 1),
    Home: (view) => go(view, 0),
    End: (view) => go(view, view.stops.length - 1),
    "+": (view) => zoom(view, 0.5),
    "-": (view) => zoom(view, 2),
    Escape: (view) => { view.stop = null; whole(view); },
  };

  function follow(view) {
    const { picture } = view;
    let grasped = null;
    const at = (event) => {
      const box = picture.getBoundingClientRect(), px = ((event.clientX - box.left) / box.width) * WIDTH;
      return view.from + (Math.min(Math.max((px - LEFT) / INNER, 0), 1)) * (view.to - view.from);
    };
    const nearest = (x) => view.stops.reduce((best, stop, place) => (Math.abs(stop - x) < Math.abs(view.stops[best] - x) ? place : best), 0);
    picture.addEventListener("keydown", (event) => {
      const act = KEYS[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act(view);
    });
    picture.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse" && view.chart.form !== "bars") grasped = at(event); });
    picture.addEventListener("pointermove", (event) => {
      const here = at(event);
      view.stop = nearest(here);
      read(view);
      if (grasped === null) return;
      const [left, right] = [grasped, here].sort((a, b) => a - b).map(view.x);
      view.mark.append(svg("rect", { class: "chosen", x: left, y: TOP, width: right - left, height: FLOOR - TOP }));
    });
    picture.addEventListener("pointerup", (event) => {
      if (grasped === null) return;
      const [from, to] = [grasped, at(event)].sort((a, b) => a - b);
      grasped = null;
      if (to - from > (view.to - view.from) / 100) show(view, from, to);
    });
    picture.addEventListener("pointerleave", () => { grasped = null; view.stop = null; read(view); });
    picture.addEventListener("dblclick", () => whole(view));
  }

  const charts = JSON.parse(document.getElementById("charts").textContent);
  for (const place of document.querySelectorAll("[data-chart]")) {
    const chart = charts[place.dataset.chart], form = FORMS[chart.form], hidden = new Set();
    const view = {
      chart, form, number: place.dataset.chart, stop: null, x: null,
      stops: [...new Set(form.stops(chart))].sort((a, b) => a - b),
      picture: svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, tabindex: 0, role: "group", "aria-label": `${chart.title}. Arrow keys read the values, plus and minus zoom, Escape shows the whole.` }),
      mark: svg("g", {}),
      output: html("output", {}),
      reset: html("button", { type: "button", textContent: "show the whole", hidden: true, onclick: () => whole(view) }),
      shown: () => chart.lines.filter((line) => !hidden.has(line)),
    };
    const toggles = chart.lines.length < 2 ? [] : chart.lines.map((line) => {
      const button = html("button", { type: "button", className: color(line.hue), textContent: line.name, onclick: () => {
        if (!hidden.delete(line)) hidden.add(line);
        button.setAttribute("aria-pressed", String(!hidden.has(line)));
        draw(view);
      } });
      button.setAttribute("aria-pressed", "true");
      return button;
    });
    place.append(html("div", { className: "legend" }, ...toggles, view.reset), view.picture, view.output);
    follow(view);
    whole(view);
  }
})();
