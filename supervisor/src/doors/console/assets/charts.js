// Charts of what has passed since the page was opened, ten minutes of it at most.
import { at, make } from "./page.js";

const MOST_POINTS = 600;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** One chart: its name, its lines, and for each picture a number for each line. */
class Chart {
  constructor(title, lines, numbers, format) {
    Object.assign(this, { title, lines, numbers, format });
    this.data = [[], ...lines.map(() => [])];
    this.caption = make("figcaption");
    this.place = make("div");
    this.figure = make("figure", {}, this.caption, this.place);
    this.figure.setAttribute("role", "img");
    at("charts").append(this.figure);
    this.draw();
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(this.place);
  }

  size() {
    return { width: Math.max(200, this.place.clientWidth), height: 170 };
  }

  /** Anew, in the colours that are in force. */
  draw() {
    this.plot?.destroy();
    const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const series = this.lines.map((label, index) => ({
      label,
      stroke: colour(`--chart${index + 1}`),
      width: 2,
      points: { show: false },
      value: (_, value) => (value == null ? "–" : this.format(value)),
    }));
    const values = (_, ticks) => ticks.map((tick) => this.format(tick));
    this.plot = new window.uPlot(
      {
        ...this.size(),
        series: [{ label: "Time" }, ...series],
        axes: [axis, { ...axis, size: 64, values }],
        scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
        cursor: { drag: { x: false, y: false } },
      },
      this.data,
      this.place,
    );
  }

  add(seconds, picture, before) {
    const numbers = this.numbers(picture, before);
    if (!numbers) return;
    this.data[0].push(seconds);
    numbers.forEach((number, line) => this.data[line + 1].push(number));
    if (this.data[0].length > MOST_POINTS) this.data.forEach((line) => line.shift());
    this.plot.setData(this.data);
    const told = this.lines.map((line, index) => `${line} ${numbers[index] == null ? "–" : this.format(numbers[index])}`);
    this.caption.textContent = `${this.title}: ${told.join(", ")}`;
    this.figure.setAttribute("aria-label", this.caption.textContent);
  }
}

const whole = (number) => String(Math.round(number * 10) / 10);
const seconds = (number) => `${Math.round(number * 10) / 10}s`;
const millis = (number) => `${Math.round(number * 10) / 10}ms`;

/** All backends' answers of late: their mean, and the worst 95th of them. */
function answers(picture) {
  const timed = (picture.backends ?? []).map((one) => one.answers).filter(Boolean);
  const all = timed.reduce((sum, one) => sum + one.count, 0);
  if (!all) return [null, null];
  const mean = timed.reduce((sum, one) => sum + one.mean_ms * one.count, 0) / all;
  const worst = timed.map((one) => one.p95_ms).filter((one) => one != null);
  return [mean, worst.length ? Math.max(...worst) : null];
}

/** What came each second since the picture before. */
function rates(picture, before) {
  const passed = before && (picture.at_ms - before.at_ms) / 1000;
  if (!passed) return null;
  return ["requests", "request_errors"].map((key) => Math.max(0, (picture[key] - before[key]) / passed));
}

export class Charts {
  constructor() {
    this.all = [
      new Chart("Tokens", ["in use", "free", "usable"], ({ pool }) => [pool.in_use, pool.available, pool.total], whole),
      new Chart("Line", ["waiting", "longest wait, s"], (one) => [one.pool.waiting, one.longest_wait_ms / 1000], whole),
      new Chart("Requests a second", ["served", "refused or failed by tpp"], rates, whole),
      new Chart("Longest hold", ["held for"], ({ holders }) => [(holders[0]?.held_ms ?? 0) / 1000], seconds),
    ];
  }

  add(picture) {
    // Of a plain tpp no backend's times are counted.
    if (!this.answers && (picture.backends ?? []).some((one) => one.answers)) {
      this.answers = new Chart("Backends' answers", ["mean", "95 in 100, the slowest backend"], answers, millis);
      this.all.push(this.answers);
    }
    this.all.forEach((chart) => chart.add(picture.at_ms / 1000, picture, this.before));
    this.before = picture;
  }

  redraw() {
    this.all.forEach((chart) => chart.draw());
  }
}
