// Markdown that a model wrote, as HTML that can do no harm.
//
// A text is cut into blocks; a block that is complete never changes, so while an answer grows only its end is read and
// rendered again. HTML in the text is shown, not obeyed. What the renderer makes is sanitised once more: an allow-list of
// tags and attributes, links to the web and to mail only, and no images, because fetching one tells a stranger's server
// whatever its address was made to tell.

import DOMPurify from "dompurify";
import { Lexer, Marked, type Token, type Tokens, type TokenizerAndRendererExtension } from "marked";

export interface Block {
  kind: "code" | "text";
  /** Markdown for text, the code itself for code. */
  source: string;
  language: string;
}

/** Longer texts than these are shown as they are. */
const MOST_CHARACTERS = 200_000;

const marked = new Marked({ gfm: true, breaks: false });
marked.use({
  extensions: [mathBlock(), mathInline()],
  renderer: {
    html: ({ text }: Tokens.HTML | Tokens.Tag) => escaped(text),
    image: ({ href, text }: Tokens.Image) => `<a href="${escaped(href)}">${escaped(imageWords(text || href))}</a>`,
  },
});

let imageWords = (text: string): string => `[image: ${text}]`;

/** How the page says that a picture is only a link. */
export function nameImages(say: (text: string) => string): void {
  imageWords = say;
}

export interface Parsed {
  text: string;
  blocks: Block[];
  /** Where the block before the last begins: what comes after may still be read another way. */
  settled: { blocks: number; characters: number };
}

const NOTHING: Parsed = { text: "", blocks: [], settled: { blocks: 0, characters: 0 } };

/** The blocks of `text`; if it goes on from `before`, what was settled there is taken over. */
export function parse(text: string, before: Parsed = NOTHING): Parsed {
  const asItIs: Parsed = { ...NOTHING, text, blocks: [{ kind: "code", source: text, language: "" }] };
  if (text.length > MOST_CHARACTERS) return asItIs;
  return unlessTooDeep(
    () => read(text, before),
    () => asItIs,
  );
}

function read(text: string, before: Parsed): Parsed {
  const source = text.replace(/\r\n?/g, "\n");
  const { settled } = source === text && text.startsWith(before.text) ? before : NOTHING;
  const found = before.blocks.slice(0, settled.blocks);
  const starts: number[] = [];
  let at = settled.characters;
  for (const token of new Lexer(marked.defaults).blockTokens(source.slice(at))) {
    if (token.type !== "space" && token.type !== "def") {
      starts.push(at);
      found.push(block(token));
    }
    at += token.raw.length;
  }
  const isWhole = source === text && at === source.length; // a link that is defined twice is left out by the lexer
  const last = starts.length < 2 || !isWhole ? settled : { blocks: found.length - 2, characters: starts.at(-2) ?? 0 };
  return { text, blocks: found, settled: last };
}

export const blocks = (text: string): Block[] => parse(text).blocks;

function block(token: Token): Block {
  if (token.type !== "code" || token["codeBlockStyle"] === "indented") return { kind: "text", source: token.raw, language: "" };
  return { kind: "code", source: (token as Tokens.Code).text, language: languageOf(token as Tokens.Code) };
}

/** One text block as sanitised HTML. */
export function html(source: string): string {
  return unlessTooDeep(
    () => sanitised(marked.parse(source, { async: false })),
    () => sanitised(`<pre>${escaped(source)}</pre>`),
  );
}

/** A model that repeats itself writes quotes within quotes until the parser's stack ends; then the text is shown as it is. */
function unlessTooDeep<T>(render: () => T, plain: () => T): T {
  try {
    return render();
  } catch (error) {
    if (error instanceof RangeError) return plain();
    throw error;
  }
}

const TAGS = (
  "a b strong i em del s code pre p br hr blockquote ul ol li h1 h2 h3 h4 h5 h6 table thead tbody tr th td sup sub " +
  "kbd span input"
).split(" ");
const ATTRIBUTES = ["href", "title", "class", "start", "align", "type", "checked", "disabled", "data-display"];

const purifier = DOMPurify(window);
purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    const href = node.getAttribute("href") ?? "";
    if (!/^(https?:|mailto:)/i.test(href)) node.removeAttribute("href");
    node.setAttribute("rel", "noopener noreferrer nofollow");
    node.setAttribute("target", "_blank");
  }
  if (node.tagName === "INPUT" && node.getAttribute("type") !== "checkbox") node.remove();
  const name = node.getAttribute("class");
  if (name && !/^(math|language-[\w+#.-]+)$/.test(name)) node.removeAttribute("class");
});

function sanitised(dirty: string): string {
  return purifier.sanitize(dirty, { ALLOWED_TAGS: TAGS, ALLOWED_ATTR: ATTRIBUTES, ALLOW_DATA_ATTR: false });
}

/** MathML that KaTeX made, sanitised, without the source that KaTeX adds: it would be shown or read out beside the formula. */
export function sanitisedMath(markup: string): string {
  return purifier.sanitize(markup, {
    USE_PROFILES: { mathMl: true },
    FORBID_ATTR: ["style"],
    ADD_FORBID_CONTENTS: ["annotation"],
  });
}

function languageOf(token: Tokens.Code): string {
  return /^[\w+#.-]{1,30}/.exec(token.lang ?? "")?.[0]?.toLowerCase() ?? "";
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`);
}

function mathSpan(source: string, isDisplay: boolean): string {
  return `<span class="math"${isDisplay ? ' data-display="1"' : ""}>${escaped(source)}</span>`;
}

// A formula on lines of its own, without an empty line, so that it is read alike while it grows. "\\[2pt]" is the end of a
// row; another "\[" opens the next, so that a text full of openings is read once and not once for each of them.
const FORMULA = /(?:\$\$((?:(?!\n[ \t]*\n)[^$]){1,4000}?)\$\$|\\\[((?:(?!\n[ \t]*\n|(?<!\\)\\\[)[^]){1,4000}?)\\\])[ \t]*(?:\n|$)/y;

/** Where the first paragraph of a text has such a formula: the whole of it, for an opening alone interrupts nothing. */
function firstFormula(text: string): number | undefined {
  const end = text.search(/\n[ \t]*\n/);
  for (const { index } of text.slice(0, end < 0 ? undefined : end).matchAll(/\$\$|\\\[/g)) {
    FORMULA.lastIndex = index;
    if (FORMULA.test(text)) return index;
  }
  return undefined;
}

function mathBlock(): TokenizerAndRendererExtension {
  return {
    name: "mathBlock",
    level: "block",
    start: firstFormula,
    tokenizer(text: string) {
      FORMULA.lastIndex = 0;
      const found = FORMULA.exec(text);
      if (!found) return undefined;
      return { type: "mathBlock", raw: found[0], text: (found[1] ?? found[2] ?? "").trim() };
    },
    renderer: (token) => `<p>${mathSpan(String(token["text"]), true)}</p>`,
  };
}

// A dollar sign opens a formula only where it touches it on the inside and no digit follows it: "$5 and $6" is money.
function mathInline(): TokenizerAndRendererExtension {
  return {
    name: "mathInline",
    level: "inline",
    start: (text: string) => /\$|\\\(/.exec(text)?.index,
    tokenizer(text: string) {
      const found =
        /^\\\(([\s\S]{1,1000}?)\\\)/.exec(text) ??
        /^\$\$([^$]{1,1000}?)\$\$/.exec(text) ??
        /^\$(?![\s\d])([^$\n]{1,1000}?)(?<!\s)\$(?!\d)/.exec(text);
      return found ? { type: "mathInline", raw: found[0], text: (found[1] ?? "").trim() } : undefined;
    },
    renderer: (token) => mathSpan(String(token["text"]), false),
  };
}
