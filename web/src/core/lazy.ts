// What few answers need, and what is heavy, comes when the first answer needs it: colours of code, and formulas.

import type { HLJSApi } from "highlight.js";

let highlighter: Promise<HLJSApi> | undefined;
const MOST_DRAWN = 500;
const drawn = new Map<string, string>();
let katex: Promise<typeof import("katex")> | undefined;

/** Code as HTML with a class on every word; null if the language is not known here. */
export async function highlighted(code: string, language: string): Promise<string | null> {
  if (!language || code.length > 50_000) return null;
  highlighter ??= import("./highlight").then((module) => module.highlighter).catch((error) => {
    highlighter = undefined; // the server was away: the next code asks again
    throw error;
  });
  const api = await highlighter;
  return api.getLanguage(language) ? api.highlight(code, { language, ignoreIllegals: true }).value : null;
}

/** A formula that was drawn before, at once: a block that grows is built anew many times a second. */
export const known = (source: string, isDisplay: boolean): string | undefined => drawn.get(`${isDisplay}${source}`);

/** A formula as MathML, which browsers draw themselves: no fonts, no inline styles. */
export async function formula(source: string, isDisplay: boolean): Promise<string> {
  katex ??= import("katex").catch((error) => {
    katex = undefined;
    throw error;
  });
  const { default: api } = await katex;
  const mathml = api.renderToString(source, {
    displayMode: isDisplay,
    output: "mathml",
    throwOnError: false,
    trust: false,
    strict: "ignore", // Hangul in a formula is nothing to warn of
    maxSize: 20, // in em: a rule of 9999em would push the page away
  });
  if (drawn.size >= MOST_DRAWN) drawn.clear();
  drawn.set(`${isDisplay}${source}`, mathml);
  return mathml;
}
