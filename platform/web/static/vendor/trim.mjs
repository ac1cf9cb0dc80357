// Leaves out of Tabler's style sheet what no page can match: node trim.mjs <platform/web> <input> <output>
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const { PurgeCSS } = createRequire(`${process.cwd()}/`)("purgecss");
const [web, input, output] = process.argv.slice(2);
const [result] = await new PurgeCSS().purge({
  content: [`${web}/**/*.html`, `${web}/static/*.js`, `${web}/**/*.py`, `${web}/../portal/**/*.html`, `${web}/../portal/**/*.py`],
  css: [input],
  variables: false,
  keyframes: true,
  fontFace: true,
  // Kept whole, so that a template may use them without this script being run again.
  safelist: {
    standard: [/^data-bs-theme/, /^(show|active|disabled|is-invalid|is-valid|was-validated)$/],
    greedy: [/^btn/, /^form-/, /^input-group/, /^card/, /^table/, /^visually-hidden/, /^spinner/],
    deep: [/^(row|col|d|m[tbsexy]?|p[tbsexy]?|g[xy]?|gap|w|h|text|fw|fs|flex|align|justify|order)(-|$)/],
  },
});
writeFileSync(output, result.css.replace(/\/\*# sourceMappingURL.*\*\//, ""));
