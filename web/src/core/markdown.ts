// Markdown that a model wrote, as HTML that can do no harm.
//
// A text is cut into blocks; a block that is complete never changes, so while an answer grows only the last one is
// rendered again. HTML in the text is shown, not obeyed. What the renderer makes is sanitised once more: an allow-list of
// tags and attributes, links to the web and to mail only, and no images, because fetching one tells a stranger's server
// whatever its address was made to tell.

import DOMPurify from "dompurify";
import { Marked, type Token, type Tokens, type TokenizerAndRendererExtension } from "marked";

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

export function blocks(text: string): Block[] {
  if (text.length > MOST_CHARACTERS) return [{ kind: "code", source: text, language: "" }];
  return marked
    .lexer(text)
    .filter((token) => token.type !== "space")
    .map((token: Token) =>
      token.type === "code" && (token as Tokens.Code).codeBlockStyle !== "indented"
        ? { kind: "code", source: (token as Tokens.Code).text, language: languageOf(token as Tokens.Code) }
        : { kind: "text", source: token.raw, language: "" },
    );
}

/** One text block as sanitised HTML. */
export function html(source: string): string {
  return sanitised(marked.parse(source, { async: false }));
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

/** MathML that KaTeX made, sanitised. */
export function sanitisedMath(markup: string): string {
  return purifier.sanitize(markup, { USE_PROFILES: { mathMl: true }, FORBID_ATTR: ["style"] });
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

function mathBlock(): TokenizerAndRendererExtension {
  return {
    name: "mathBlock",
    level: "block",
    start: (text: string) => /\$\$|\\\[/.exec(text)?.index,
    tokenizer(text: string) {
      const found = /^(?:\$\$([^$]{1,4000}?)\$\$|\\\[([\s\S]{1,4000}?)\\\])[ \t]*(?:\n|$)/.exec(text);
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
        /^\$\$([^$\n]{1,1000}?)\$\$/.exec(text) ??
        /^\$(?![\s\d])([^$\n]{1,1000}?)(?<!\s)\$(?!\d)/.exec(text);
      return found ? { type: "mathInline", raw: found[0], text: (found[1] ?? "").trim() } : undefined;
    },
    renderer: (token) => mathSpan(String(token["text"]), false),
  };
}
