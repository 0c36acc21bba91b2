// The server in the words of OpenAI's API: models, tokens of a conversation, and an answer as it is written.

import { EventReader } from "./sse";
import type { Message } from "./tree";

export interface Model {
  id: string;
  max_model_len: number;
}

export interface ChatBody {
  model: string;
  messages: Message[];
  continue_final_message?: boolean;
  add_generation_prompt?: boolean;
  [field: string]: unknown;
}

export type Piece =
  | { kind: "text"; text: string }
  | { kind: "usage"; prompt: number; completion: number }
  | { kind: "finish"; reason: string };

/** What went wrong; status 0 if the server could not be reached, or went away. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string | null = null,
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
}

export class Api {
  constructor(
    private readonly base: string,
    private readonly token: () => string | null,
    private readonly fetcher: typeof fetch = (...given) => fetch(...given),
  ) {}

  async models(signal?: AbortSignal): Promise<Model[]> {
    const answer = await this.ask("/v1/models", undefined, signal);
    return ((await answer.json()) as { data: Model[] }).data;
  }

  /** How many tokens a conversation takes. */
  async count(model: string, messages: Message[], signal?: AbortSignal): Promise<number> {
    const answer = await this.ask("/tokenize", { model, messages }, signal);
    return ((await answer.json()) as { count: number }).count;
  }

  /** An answer in pieces. Throws `ApiError`, also in its middle; a stream that ends without its end is one too. */
  async *chat(body: ChatBody, signal: AbortSignal): AsyncGenerator<Piece> {
    const asked = { ...body, stream: true, stream_options: { include_usage: true } };
    const answer = await this.ask("/v1/chat/completions", asked, signal);
    const reader = answer.body?.getReader();
    if (!reader) throw new ApiError("the answer is empty", 0);
    const events = new EventReader();
    try {
      for (;;) {
        const { done, value } = await reader.read().catch((error: unknown) => {
          throw unreachable(error, signal);
        });
        for (const data of done ? events.end() : events.push(value)) {
          if (data === "[DONE]") return;
          yield* pieces(data);
        }
        if (done) throw new ApiError("the connection ended in the middle of the answer", 0);
      }
    } finally {
      reader.cancel().catch(() => undefined);
    }
  }

  private async ask(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = {};
    const token = this.token();
    if (token) headers["Authorization"] = `Bearer ${token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const options: RequestInit = { headers, cache: "no-store", credentials: "omit", signal: signal ?? null };
    if (body !== undefined) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
    let answer: Response;
    try {
      answer = await this.fetcher(this.base + path, options);
    } catch (error) {
      throw unreachable(error, signal);
    }
    if (!answer.ok) throw await refusal(answer);
    return answer;
  }
}

interface ChatEvent {
  error?: { message?: string; code?: string };
  choices?: { delta?: { content?: string | null }; finish_reason?: string | null }[];
  usage?: { prompt_tokens: number; completion_tokens: number } | null;
}

/** One event; half of one is what a connection leaves that ended within it. */
function parsed(data: string): ChatEvent {
  try {
    return JSON.parse(data) as ChatEvent;
  } catch {
    throw new ApiError("the connection ended in the middle of the answer", 0);
  }
}

function* pieces(data: string): Generator<Piece> {
  const event = parsed(data);
  if (event.error) throw new ApiError(event.error.message ?? "the server failed", 0, event.error.code ?? null);
  const choice = event.choices?.[0];
  if (choice?.delta?.content) yield { kind: "text", text: choice.delta.content };
  if (choice?.finish_reason) yield { kind: "finish", reason: choice.finish_reason };
  if (event.usage) yield { kind: "usage", prompt: event.usage.prompt_tokens, completion: event.usage.completion_tokens };
}

async function refusal(answer: Response): Promise<ApiError> {
  const after = Number(answer.headers.get("Retry-After"));
  let message = answer.statusText || `status ${answer.status}`;
  let code: string | null = null;
  try {
    const { error } = (await answer.json()) as { error?: { message?: string; code?: string } };
    message = error?.message ?? message;
    code = error?.code ?? null;
  } catch {
    // Not our server's words: the status has to do.
  }
  return new ApiError(message, answer.status, code, Number.isFinite(after) && after > 0 ? after : null);
}

function unreachable(error: unknown, signal?: AbortSignal): Error {
  if (signal?.aborted || error instanceof ApiError) return error as Error;
  return new ApiError("the server cannot be reached", 0);
}
