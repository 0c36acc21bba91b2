// One answer on its way: pieces in, a turn that grows out. Whatever happens, what was written stays.

import { ApiError, type Api, type ChatBody } from "./api";
import type { Turn } from "./tree";

const RETRIES = [500, 1000, 2000, 4000, 8000, 8000, 8000]; // half a minute: a server that loads a large model

export interface Progress {
  /** Parts of the turn that changed. */
  change: (part: Partial<Turn>) => void;
  /** The server is away, and is asked again. */
  waiting: (isWaiting: boolean) => void;
}

/** Ask, and tell `progress` of everything until the end. Throws only an `ApiError` with status 401. */
export async function generate(
  api: Api,
  body: ChatBody,
  begun: string,
  progress: Progress,
  signal: AbortSignal,
  now: () => number = () => performance.now(),
): Promise<void> {
  let text = begun;
  let pieces = 0;
  let first = 0;
  const seconds = () => (first ? (now() - first) / 1000 : 0);
  for (let attempt = 0; ; attempt++) {
    let ending: Turn["ending"] = "done";
    try {
      for await (const piece of api.chat(body, signal)) {
        progress.waiting(false);
        if (piece.kind === "text") {
          first ||= now();
          pieces++;
          text += piece.text;
          progress.change({ text, tokens: pieces, seconds: seconds() });
        } else if (piece.kind === "finish") {
          ending = piece.reason === "length" ? "length" : "done";
        } else {
          const used = piece.prompt + piece.completion;
          progress.change({ tokens: piece.completion, seconds: seconds(), used });
        }
      }
      progress.change({ ending });
      return;
    } catch (error) {
      if (signal.aborted) {
        progress.change({ ending: "stopped", seconds: seconds() });
        return;
      }
      const failure = error instanceof ApiError ? error : new ApiError(String(error), 0);
      if (failure.status === 401) throw failure;
      const delay = RETRIES[attempt];
      const isAway = !pieces && (failure.code === "shutting_down" || (failure.status === 0 && failure.code === null));
      if (isAway && delay !== undefined) {
        progress.waiting(true);
        await pause(delay, signal);
        continue;
      }
      progress.change({ ending: "failed", problem: problemOf(failure), seconds: seconds() });
      return;
    } finally {
      progress.waiting(false);
    }
  }
}

/** For the page to say in its own words: a code, with a figure if there is one, or the server's own message. */
function problemOf(error: ApiError): string {
  if (error.status === 429) return `busy:${error.retryAfter ?? 5}`;
  if (error.code === "context_length_exceeded") return "long";
  return error.status === 0 && error.code === null ? "away" : `said:${error.message}`;
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
