// One SVG sprite of the icons named in icons.txt: node sprite.mjs <package> <list> <output>
import { readFileSync, writeFileSync } from "node:fs";

const [pkg, list, output] = process.argv.slice(2);
const names = readFileSync(list, "utf8").split("\n").filter(Boolean);
const symbols = names.map((name) => {
  const svg = readFileSync(`${pkg}/icons/outline/${name}.svg`, "utf8");
  const paths = [...svg.matchAll(/<(?:path|circle|rect|line)[^>]*\/>/g)].map((m) => m[0]);
  const drawn = paths.filter((p) => !p.includes('d="M0 0h24v24H0z"')).join("");
  return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" ` +
    `stroke-linecap="round" stroke-linejoin="round">${drawn}</symbol>`;
});
writeFileSync(output, `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`);
