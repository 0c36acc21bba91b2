import { describe, expect, test } from "vitest";
import {
  append,
  change,
  check,
  merge,
  messages,
  newConversation,
  path,
  switchTo,
  titleOf,
  versions,
  type Conversation,
} from "../src/core/tree";

function talk(...texts: string[]): Conversation {
  return texts.reduce(
    (c, text, index) =>
      append(c, { id: `t${index}`, role: index % 2 ? "assistant" : "user", text, createdAt: index }),
    newConversation("c", 0),
  );
}

describe("a conversation", () => {
  test("is the path from its root to its leaf", () => {
    expect(path(talk("a", "b", "c")).map((turn) => turn.text)).toEqual(["a", "b", "c"]);
    expect(path(newConversation("c", 0))).toEqual([]);
  });

  test("branches where a turn is put beside another, and nothing is lost", () => {
    const c = talk("a", "b", "c", "d");
    const branched = append(c, { id: "x", role: "user", text: "c2", createdAt: 9, parent: "t1" });
    expect(path(branched).map((turn) => turn.text)).toEqual(["a", "b", "c2"]);
    expect(versions(branched).get("x")).toEqual(["t2", "x"]);
    expect(path(switchTo(branched, "t2")).map((turn) => turn.text)).toEqual(["a", "b", "c", "d"]);
    expect(Object.keys(branched.turns)).toHaveLength(5);
  });

  test("changes into a new value and leaves the old one", () => {
    const c = talk("a", "b");
    expect(change(c, "t1", { text: "B" }).turns["t1"]?.text).toBe("B");
    expect(c.turns["t1"]?.text).toBe("b");
    expect(change(c, "nobody", { text: "B" })).toBe(c);
  });

  test("tells the server its system prompt and no empty answer", () => {
    const c = { ...talk("a", ""), system: " be kind " };
    expect(messages(c)).toEqual([
      { role: "system", content: " be kind " },
      { role: "user", content: "a" },
    ]);
    expect(messages({ ...c, system: "  " }, "t0")).toHaveLength(1);
  });

  test("is named by its first line, cut at a word and never within a character", () => {
    expect(titleOf("  short\nmore")).toBe("short");
    expect(titleOf("word ".repeat(30))).toMatch(/word…$/);
    expect(titleOf("😀".repeat(100))).toBe(`${"😀".repeat(60)}…`);
  });
});

describe("a conversation in two tabs", () => {
  const begun = append(newConversation("c", 0), { id: "q", role: "user", text: "Q", createdAt: 1 });
  const answered = (id: string) => append(begun, { id, role: "assistant", text: id, createdAt: 2, parent: "q", ending: "done" });

  test("keeps the turns of both, and the rest of one's own", () => {
    const both = merge(answered("theirs"), { ...answered("mine"), title: "Mine" });
    expect(Object.keys(both.turns).sort()).toEqual(["mine", "q", "theirs"]);
    expect(both).toMatchObject({ title: "Mine", leaf: "mine" });
  });

  test("takes the turn that has got further, whoever's it is", () => {
    const early = change(answered("a"), "a", { text: "a", ending: "writing" });
    const late = change(answered("a"), "a", { text: "a b" });
    const same = change(early, "a", { ending: "stopped" });
    for (const both of [merge(early, late), merge(late, early)]) expect(both.turns["a"]).toMatchObject({ text: "a b", ending: "done" });
    for (const both of [merge(early, same), merge(same, early)]) expect(both.turns["a"]?.ending).toBe("stopped");
  });
});

describe("a conversation from a file", () => {
  test("comes back as it went out", () => {
    const c = talk("a", "b", "c");
    expect(check(JSON.parse(JSON.stringify(c)))).toEqual(c);
  });

  test.each([
    ["null", null],
    ["no turns", { ...talk("a"), turns: [] }],
    ["another role", { ...talk("a"), turns: { t0: { ...talk("a").turns["t0"], role: "system" } } }],
    ["text that is none", { ...talk("a"), turns: { t0: { ...talk("a").turns["t0"], text: 5 } } }],
    ["an unknown parent", { ...talk("a"), turns: { t0: { ...talk("a").turns["t0"], parent: "x" } } }],
    ["its own parent", { ...talk("a"), turns: { t0: { ...talk("a").turns["t0"], parent: "t0" } } }],
    ["an unknown leaf", { ...talk("a"), leaf: "x" }],
    ["the leaf of every object", { ...talk("a"), leaf: "constructor" }],
    ["the parent of every object", { ...talk("a"), turns: { ["__proto__"]: talk("a").turns["t0"] }, leaf: null }],
    ["an empty id", { ...talk("a"), id: "" }],
    ["no id", { ...talk("a"), id: undefined }],
    ["a time that is none", { ...talk("a"), updatedAt: "now" }],
  ])("is refused with %s", (_, value) => {
    expect(() => check(value)).toThrow(/./);
  });

  test("keeps nothing that no turn has", () => {
    const c = talk("a");
    const smuggled = { ...c, turns: { t0: { ...c.turns["t0"], html: "<b>", ending: "writing", tokens: "many" } } };
    expect(check(smuggled).turns["t0"]).toEqual(c.turns["t0"]);
  });
});
