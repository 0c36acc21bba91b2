import "fake-indexeddb/auto";
import { describe, expect, test } from "vitest";
import { de } from "../src/i18n/de";
import { en } from "../src/i18n/en";
import { ko } from "../src/i18n/ko";
import { language } from "../src/core/i18n";
import { blocks, html, parse } from "../src/core/markdown";
import { DEFAULTS, load, sampling, save } from "../src/core/settings";
import { exportAll, importAll, search, Store, toMarkdown } from "../src/core/store";
import { takeToken, token } from "../src/core/token";
import { append, newConversation, type Conversation } from "../src/core/tree";

function conversation(id: string, text: string, updatedAt = 1): Conversation {
  return { ...append(newConversation(id, 0), { id: "t", role: "user", text, createdAt: 0 }), title: text, updatedAt };
}

describe("Markdown", () => {
  const text = "# Title\n\nSome *text*.\n\n```js\nlet a = 1;\n```\n\n- one\n- two\n\n$$x^2$$\n";

  test("grows block by block: what is complete never changes", () => {
    for (let length = 1; length <= text.length; length++) {
      const now = blocks(text.slice(0, length));
      const later = blocks(text);
      for (let i = 0; i + 2 < now.length; i++) expect(later[i]).toEqual(now[i]);
    }
  });

  test("reads a text that grows as it reads it whole", () => {
    const pieces = [text, "para\n", "#x\n", "- a\n\n  b\n", "1. c\n", "---\n", "    code\n", "| a |\n|--|\n| 1 |\n", "> q\nlazy\n"];
    pieces.push("[x]: y\n", "[x]: z\n", "~~~\nopen\n\nnever closed", "\\[ a \n b \\]\n", "<div>\n\n", "a $$ b\n\n", "\r\nend\r\n");
    let seed = 7;
    const draw = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
    for (let round = 0; round < 60; round++) {
      const whole = Array.from({ length: 8 }, () => pieces[draw(pieces.length)] + (draw(2) ? "\n" : "")).join("");
      let grown = parse("");
      for (let length = 1; length <= whole.length; length += 1 + draw(9)) {
        grown = parse(whole.slice(0, length), grown);
        expect(grown.blocks).toEqual(blocks(whole.slice(0, length)));
      }
    }
  });

  test("knows code, formulas and money", () => {
    expect(blocks(text).map((block) => block.kind)).toEqual(["text", "text", "code", "text", "text"]);
    expect(html("It costs $5 and $6.")).not.toContain("math");
    expect(html("Euler: $e^{i\\pi}$ and \\(x\\)").match(/class="math"/g)).toHaveLength(2);
  });

  test.each([
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](data:text/html,x)",
    "[x](&#106;avascript:alert(1))",
    "![x](https://evil.test/x.png)",
    "<svg/onload=alert(1)>",
    "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
    "<p style='position:fixed'>x</p>",
  ])("is inert: %s", (source) => {
    const element = document.createElement("div");
    element.innerHTML = html(source);
    expect(element.querySelector("img, script, svg, math, iframe, style, [style]")).toBeNull();
    for (const each of element.querySelectorAll("*")) {
      for (const { name, value } of each.attributes) {
        expect(name).not.toMatch(/^on/);
        expect(value).not.toMatch(/^\s*(javascript|data|vbscript):/i);
      }
    }
  });

  test("shows an endless text as it is", () => {
    expect(blocks("a".repeat(300_000))).toHaveLength(1);
  });
});

describe("kept conversations", () => {
  test("come back newest first, and go", async () => {
    const store = await Store.open("test");
    for (const [id, at] of [["a", 1], ["b", 3], ["c", 2]] as const) await store.put(conversation(id, id, at));
    expect((await store.all()).map((c) => c.id)).toEqual(["b", "c", "a"]);
    await store.remove("b");
    expect((await store.all()).map((c) => c.id)).toEqual(["c", "a"]);
  });

  test("keep what two tabs say at once, and a database that was closed is opened again", async () => {
    const [here, there] = [await Store.open("tabs"), await Store.open("tabs")];
    const begun = conversation("a", "Hi");
    const said = (id: string) => append(begun, { id, role: "assistant", text: id, createdAt: 5 });
    await here.put(said("x"));
    (there as unknown as { database: IDBDatabase }).database.close();
    await there.put(said("y"));
    expect(Object.keys((await here.all())[0]!.turns).sort()).toEqual([...Object.keys(begun.turns), "x", "y"].sort());
  });

  test("are found by all their words, in any case", () => {
    const list = [conversation("a", "Straße nach Köln"), conversation("b", "한국어 대화")];
    expect(search(list, "KÖLN straße").map((c) => c.id)).toEqual(["a"]);
    expect(search(list, "한국어").map((c) => c.id)).toEqual(["b"]);
    expect(search(list, " ")).toHaveLength(2);
    expect(search(list, "köln 한국어")).toHaveLength(0);
  });

  test("are the same after export and import, and of two the later stays", () => {
    const list = [conversation("a", "one", 5), conversation("b", "two", 5)];
    expect(importAll(exportAll(list), []).changed).toEqual(list);
    const mixed = importAll(exportAll(list), [conversation("a", "newer", 9), conversation("b", "older", 1)]);
    expect(mixed).toMatchObject({ added: 0, updated: 1, skipped: 1 });
    expect(mixed.changed.map((c) => c.title)).toEqual(["two"]);
    for (const bad of ["", "null", "[]", "{}", '{"conversations":[1]}']) expect(() => importAll(bad, [])).toThrow(/./);
  });

  test("are Markdown for whoever reads them elsewhere", () => {
    const names = { user: "You", assistant: "Answer" };
    expect(toMarkdown({ ...conversation("a", "Hi"), system: "Be\nkind" }, names)).toBe("# Hi\n\n> Be\n> kind\n\n## You\n\nHi\n");
  });
});

describe("settings", () => {
  test("come back, and what makes no sense is mended", () => {
    save(localStorage, { ...DEFAULTS, temperature: 1.5, theme: "dark", seed: 7 });
    expect(load(localStorage)).toMatchObject({ temperature: 1.5, theme: "dark", seed: 7 });
    for (const kept of ["", "null", "[", '{"temperature":99,"theme":"pink","seed":-1,"max_tokens":"9"}']) {
      localStorage.setItem("pocketphi.settings", kept);
      expect(load(localStorage)).toEqual(DEFAULTS);
    }
  });

  test("become a request's fields, the seed only if there is one", () => {
    expect(sampling(DEFAULTS)).not.toHaveProperty("seed");
    expect(sampling({ ...DEFAULTS, seed: 3 })).toMatchObject({ seed: 3, temperature: 0.3 });
  });
});

describe("the token", () => {
  test("is taken out of the address", () => {
    history.replaceState(null, "", "/#token=a-b_c~1");
    takeToken(location, history, localStorage);
    expect(token(localStorage)).toBe("a-b_c~1");
    expect(location.hash).toBe("");
    history.replaceState(null, "", "/#c=abc");
    takeToken(location, history, localStorage);
    expect(location.hash).toBe("#c=abc");
  });
});

describe("languages", () => {
  test("say something in every place", () => {
    for (const words of [en, de, ko]) {
      expect(Object.keys(words)).toEqual(Object.keys(en));
      for (const value of Object.values(words)) {
        const said = typeof value === "function" ? (value as (...given: number[]) => string)(1, 2, 3) : value;
        expect(String(said).trim()).not.toBe("");
      }
    }
  });

  test("are those of the browser unless one was set", () => {
    expect(language("auto", ["fr", "ko-KR", "de"])).toBe("ko");
    expect(language("auto", ["fr"])).toBe("en");
    expect(language("de", ["ko"])).toBe("de");
  });
});
