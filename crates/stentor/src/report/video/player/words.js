// Numbers with their units. The book counts in bit/s, the lecture's notes in byte/s: rates have both.

const STEPS = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];

function scaled(number, unit) {
  const [factor, letter] = STEPS.find(([factor]) => Math.abs(number) >= factor) ?? [1, ""];
  const value = number / factor;
  const digits = Math.abs(value) >= 100 || factor === 1 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  // A number and its unit stay on one line.
  return `${value.toFixed(digits)}\u00a0${letter}${unit}`;
}

/** As short as it is exact, for an axis: "1.5M". */
export function axis(number) {
  const [factor, letter] = STEPS.find(([factor]) => number >= factor) ?? [1, ""];
  return `${Number((number / factor).toFixed(2))}${letter}`;
}

export const bits = (number) => scaled(number, "bit");
export const bytes = (number) => scaled(number, "B");
export const rate = (bps) => scaled(bps, "bit/s");
export const rates = (bps) => `${rate(bps)} (${scaled(bps / 8, "B/s")})`;
export const seconds = (s, digits = 1) => `${s.toFixed(digits)}\u00a0s`;
export const milliseconds = (s) => `${(s * 1000).toFixed(0)}\u00a0ms`;
export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;
