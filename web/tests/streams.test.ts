import { describe, expect, test } from "vitest";
import { Api, ApiError, type ChatBody, type Piece } from "../src/core/api";
import { generate } from "../src/core/generate";
import { EventReader } from "../src/core/sse";
import type { Turn } from "../src/core/tree";

const bytes = (text: string) => new TextEncoder().encode(text);
const BODY: ChatBody = { model: "m", messages: [] };

/** A server that streams these events, each in a chunk of its own, and perhaps breaks off. */
function server(events: unknown[], { status = 200, headers = {}, breaks = false } = {}): typeof fetch {
  return async () => {
    const left = [...events];
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        const event = left.shift();
        if (event !== undefined) {
          controller.enqueue(bytes(`data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`));
        } else if (breaks) controller.error(new TypeError("gone"));
        else controller.close();
      },
    });
    return status === 200 ? new Response(stream) : new Response(JSON.stringify(events[0]), { status, headers });
  };
}

const word = (content: string) => ({ choices: [{ delta: { content } }] });
const END = { choices: [{ delta: {}, finish_reason: "stop" }] };
const USAGE = { choices: [], usage: { prompt_tokens: 7, completion_tokens: 2 } };

async function all(fetcher: typeof fetch): Promise<Piece[]> {
  const found: Piece[] = [];
  for await (const piece of new Api("", () => null, fetcher).chat(BODY, new AbortController().signal)) found.push(piece);
  return found;
}

describe("events", () => {
  const text = 'data: {"a":"é😀"}\r\n\r\n: comment\r\ndata:one\ndata: two\n\nevent: x\rdata: three\r\rdata: last';
  const expected = ['{"a":"é😀"}', "one\ntwo", "three", "last"];

  test.each([1, 2, 3, 5, 7, 1000])("are whole however the bytes are cut (%i)", (size) => {
    const reader = new EventReader();
    const source = bytes(text);
    const found: string[] = [];
    for (let at = 0; at < source.length; at += size) found.push(...reader.push(source.slice(at, at + size)));
    expect([...found, ...reader.end()]).toEqual(expected);
  });
});

describe("an answer", () => {
  test("comes in pieces, with its usage and its end", async () => {
    const found = await all(server([word("Hel"), word("lo"), END, USAGE, "[DONE]"]));
    expect(found).toEqual([
      { kind: "text", text: "Hel" },
      { kind: "text", text: "lo" },
      { kind: "finish", reason: "stop" },
      { kind: "usage", prompt: 7, completion: 2 },
    ]);
  });

  test("that stops without its end is a failure", async () => {
    await expect(all(server([word("Hel")]))).rejects.toThrow(/middle of the answer/);
    await expect(all(server([word("Hel")], { breaks: true }))).rejects.toThrow(ApiError);
    await expect(all(server([word("x"), { error: { message: "no", code: "shutting_down" } }]))).rejects.toThrow("no");
  });

  test("that is refused says why and when to come back", async () => {
    const refused = server([{ error: { message: "busy", code: "queue_full" } }], { status: 429, headers: { "Retry-After": "9" } });
    const error = await all(refused).catch((found: unknown) => found as ApiError);
    expect(error).toMatchObject({ status: 429, code: "queue_full", retryAfter: 9, message: "busy" });
  });

  test("is asked for with the token, and never without one", async () => {
    const seen: (string | null)[] = [];
    const spy: typeof fetch = async (_, options) => {
      seen.push(new Headers(options?.headers).get("Authorization"));
      return new Response(JSON.stringify({ data: [] }));
    };
    await new Api("", () => "key", spy).models();
    await new Api("", () => null, spy).models();
    expect(seen).toEqual(["Bearer key", null]);
  });
});

describe("generating", () => {
  async function run(fetcher: typeof fetch, begun = "", abort = false): Promise<Partial<Turn>> {
    let turn: Partial<Turn> = { text: begun };
    const controller = new AbortController();
    if (abort) controller.abort();
    const progress = { change: (part: Partial<Turn>) => (turn = { ...turn, ...part }), waiting: () => undefined };
    let now = 0;
    await generate(new Api("", () => null, fetcher), BODY, begun, progress, controller.signal, () => (now += 500));
    return turn;
  }

  test("ends with the text, the tokens and the context used", async () => {
    expect(await run(server([word("a"), word("b"), END, USAGE, "[DONE]"]))).toMatchObject({
      text: "ab", ending: "done", tokens: 2, used: 9,
    });
  });

  test("goes on from what was begun, and keeps it when the connection ends", async () => {
    expect(await run(server([word("more")], { breaks: true }), "begun and ")).toMatchObject({
      text: "begun and more", ending: "failed", problem: "away",
    });
  });

  test("says that the length was reached, that it was stopped, that the server is busy, that it is too long", async () => {
    const length = { choices: [{ delta: {}, finish_reason: "length" }] };
    expect(await run(server([word("a"), length, "[DONE]"]))).toMatchObject({ ending: "length" });
    expect(await run(async () => Promise.reject(new DOMException("", "AbortError")), "x", true)).toMatchObject({ ending: "stopped" });
    const busy = server([{ error: { message: "m" } }], { status: 429, headers: { "Retry-After": "3" } });
    expect(await run(busy)).toMatchObject({ ending: "failed", problem: "busy:3" });
    const long = server([{ error: { message: "m", code: "context_length_exceeded" } }], { status: 400 });
    expect(await run(long)).toMatchObject({ problem: "long" });
  });

  test("asks again while the server is away", async () => {
    let times = 0;
    const comesBack: typeof fetch = async (...given) => {
      if (times++ === 0) throw new TypeError("refused");
      return server([word("back"), END, "[DONE]"])(...given);
    };
    expect(await run(comesBack)).toMatchObject({ text: "back", ending: "done" });
    expect(times).toBe(2);
  });

  test("hands a missing token to who can ask for it", async () => {
    const refused = server([{ error: { message: "key" } }], { status: 401 });
    await expect(run(refused)).rejects.toMatchObject({ status: 401 });
  });
});
