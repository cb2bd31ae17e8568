// What keeps people from using a page. Returns the problems in words.
const problems = [];
const name = (element) => {
  const id = element.id ? "#" + element.id : "";
  return element.tagName.toLowerCase() + id + " " + (element.innerText ?? "").slice(0, 40);
};
const all = (css) => [...document.querySelectorAll(css)];

if (document.documentElement.scrollWidth > window.innerWidth + 1) {
  const wide = all("body *").filter((element) => {
    const inside = element.closest(".scroll, .top ul");
    return !inside && element.getBoundingClientRect().right > window.innerWidth + 1;
  });
  problems.push("the page is wider than the screen: " + wide.slice(0, 3).map(name).join(" | "));
}
if (all("h1").length !== 1) problems.push("not one h1");
if (all("main").length !== 1) problems.push("not one main");
if (!document.documentElement.lang) problems.push("no language");
for (const table of all("table")) {
  if (!table.caption?.innerText.trim()) problems.push("a table without a caption");
  for (const cell of table.querySelectorAll("th")) {
    if (!cell.scope) problems.push("a head without scope: " + name(cell));
  }
}
for (const field of all("input:not([type=hidden]), select, textarea")) {
  if (!field.labels?.length && !field.getAttribute("aria-label")) {
    problems.push("a field without a label: " + name(field));
  }
}
for (const picture of all("svg")) {
  if (picture.getAttribute("role") !== "img" || !picture.getAttribute("aria-label")) {
    problems.push("a picture without a name");
  }
}
for (const part of all("progress, nav, [role=region]")) {
  if (!part.getAttribute("aria-label")) problems.push("without a name: " + name(part));
}
for (const link of all("a, button")) {
  if (!(link.innerText || link.getAttribute("aria-label"))) problems.push("nothing to read: " + link.outerHTML);
}
const ids = all("[id]").map((element) => element.id);
for (const id of new Set(ids)) {
  if (ids.filter((other) => other === id).length > 1) problems.push("twice: #" + id);
}

// Contrast of text (WCAG 2.1 AA).
const colour = (text) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
  return { r, g, b, a: a / 255 };
};
const known = new Map();
const parsed = (text) => {
  if (!known.has(text)) known.set(text, colour(text));
  return known.get(text);
};
const over = (top, below) => {
  const mix = (of) => top[of] * top.a + below[of] * (1 - top.a);
  return { r: mix("r"), g: mix("g"), b: mix("b"), a: 1 };
};
const ground = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    layers.push(parsed(getComputedStyle(at).backgroundColor));
  }
  return layers.reverse().reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
};
const luminance = ({ r, g, b }) => {
  const [x, y, z] = [r, g, b].map((part) => {
    const scaled = part / 255;
    return scaled <= 0.04045 ? scaled / 12.92 : ((scaled + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
for (const element of all("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!own || !element.checkVisibility() || element.closest("svg, .hidden, .skip, option, datalist")) continue;
  const style = getComputedStyle(element);
  const below = ground(element);
  const text = over(parsed(style.color), below);
  const [light, dark] = [luminance(text), luminance(below)].sort((a, b) => b - a);
  const ratio = (light + 0.05) / (dark + 0.05);
  const size = parseFloat(style.fontSize);
  const enough = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
  if (ratio < enough) problems.push(`contrast ${ratio.toFixed(2)}: ${name(element)}`);
}
return [...new Set(problems)];
