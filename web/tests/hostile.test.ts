// What a model that runs wild, a connection that breaks and a file that was made up can do to the page: nothing.

import { describe, expect, test } from "vitest";
import { Api } from "../src/core/api";
import { generate } from "../src/core/generate";
import { formula } from "../src/core/lazy";
import { blocks, html, parse, sanitisedMath } from "../src/core/markdown";
import { DEFAULTS, load } from "../src/core/settings";
import type { Turn } from "../src/core/tree";

function drawn(markup: string): HTMLElement {
  const element = document.createElement("div");
  element.innerHTML = markup;
  return element;
}

describe("a formula", () => {
  test.each(["x^2", "\\frac{a}{b}", "\\text{한국어}", "\\bad"])("is drawn, and its source is not beside it: %s", async (source) => {
    const element = drawn(sanitisedMath(await formula(source, false)));
    expect(element.querySelector("math")).not.toBeNull();
    expect(element.querySelector("annotation")).toBeNull();
    for (const node of element.querySelector("math")?.childNodes ?? []) expect(node.nodeType).toBe(Node.ELEMENT_NODE);
  });

  test("links nowhere, and is never wider than a line", async () => {
    const link = drawn(sanitisedMath(await formula("\\href{javascript:alert(1)}{x} \\htmlStyle{color:red}{y}", true)));
    expect(link.querySelector("a, [href], [style], [*|href]")).toBeNull();
    expect(sanitisedMath(await formula("\\rule{9999em}{9999em}", true))).not.toContain("9999em");
  });

  test("may have rows of its own height, and no empty line", () => {
    const rows = "\\[\n\\begin{aligned} a &= b \\\\[2pt] c &= d \\end{aligned}\n\\]\n";
    expect(drawn(html(rows)).querySelector(".math")?.textContent).toContain("\\\\[2pt] c");
    expect(html("text $$a\n+b$$ more")).toContain('<span class="math">a\n+b</span> more');
    expect(html("so\n$$\na\n$$\nthen")).toContain('data-display="1"');
    expect(html("It costs $$ and\n\nmore $$\n")).not.toContain("math");
  });

  test("is read alike while it grows, however late it is closed", () => {
    for (const text of ["$$\na\n\nb\n\nc\n\nd\n\n$$\nend", "\\[\na\n\nb\n\nc\n\n\\]\nend", "so\n$$\na +\nb\n$$\nthen\n\nend"]) {
      let grown = parse("");
      for (let length = 1; length <= text.length; length++) grown = parse(text.slice(0, length), grown);
      expect(grown.blocks).toEqual(blocks(text));
    }
  });
});

describe("a text", () => {
  test.each([
    ["quotes in quotes", "> ".repeat(5000)],
    ["quotes without spaces", ">".repeat(20_000)],
    ["lists in lists", "1. ".repeat(5000)],
  ])("of %s is shown as it is", (_, text) => {
    expect(() => blocks(`${text}x`).map((block) => block.kind === "text" && html(block.source))).not.toThrow();
    expect(drawn(html(`${text}x`)).textContent).toContain("x");
  });

  test.each([
    ["dollars", "$".repeat(40_000)],
    ["formulas that open", "\\[a ".repeat(10_000)],
    ["formulas side by side", "$$a ".repeat(10_000)],
    ["brackets", "[".repeat(20_000)],
    ["words", "word ".repeat(39_000)],
    ["backticks", "`".repeat(40_000)],
  ])("of nothing but %s is cut into blocks in no time", (_, text) => {
    const begun = performance.now();
    blocks(text);
    expect(performance.now() - begun).toBeLessThan(1000);
  });

  test.each(["[x](/v1/models)", "[x](//evil.test)", "<javascript:alert(1)>", "ftp://x.y", "![x](javascript:alert(1))", "[x](vbscript:x)"])(
    "links to the web and to mail only: %s",
    (source) => expect(drawn(html(source)).querySelector("[href]")).toBeNull(),
  );

  test("keeps its links apart from the page", () => {
    for (const source of ["https://a.test", "a@b.co", "[x](http://a.test)", "![x](https://a.test/x.png)"]) {
      const link = drawn(html(source)).querySelector("a[href]");
      expect(link?.getAttribute("rel")).toMatch(/noopener noreferrer/);
      expect(link?.getAttribute("target")).toBe("_blank");
    }
  });

  test("is the same block by block as in one piece", () => {
    const texts = ["- a\n\n- b\n\n  c\n\nend", "a\n===\n\nb", "|a|b|\n|-|-|\n|1|2|\n\nx", "> q\n\np\n\n---\n\n1. a\n2. b\n", "so\n$$\na\n$$\nq"];
    for (const text of texts) {
      const joined = blocks(text).map((block) => html(block.source)).join("");
      expect(joined.replaceAll("\n", "")).toBe(html(text).replaceAll("\n", ""));
    }
  });
});

describe("a connection", () => {
  async function run(...answers: Response[]): Promise<Partial<Turn>> {
    let turn: Partial<Turn> = {};
    const progress = { change: (part: Partial<Turn>) => (turn = { ...turn, ...part }), waiting: () => undefined };
    const api = new Api("", () => null, async () => answers.shift() ?? Response.error());
    await generate(api, { model: "m", messages: [] }, "", progress, new AbortController().signal);
    return turn;
  }
  const word = 'data: {"choices":[{"delta":{"content":"kept"}}]}\n\n';

  test("that ends within an event leaves the text, and is said to have ended", async () => {
    expect(await run(new Response(`${word}data: {"choi`))).toMatchObject({ text: "kept", ending: "failed", problem: "away" });
  });

  test("to a server that shuts down is tried again when it is back", async () => {
    const error = JSON.stringify({ error: { message: "later", code: "shutting_down" } });
    const back = new Response(`${word}data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`);
    expect(await run(new Response(error, { status: 503 }), back)).toMatchObject({ text: "kept", ending: "done" });
  });
});

test("a setting that counts is a whole number", () => {
  localStorage.setItem("pocketphi.settings", '{"top_k":1.5,"max_tokens":99.5,"temperature":0.75}');
  expect(load(localStorage)).toEqual({ ...DEFAULTS, temperature: 0.75 });
});
