// Runs the session with the official `openai` package; see scripted.py for what goes in and out.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

// The packages are where `npm ci` put them, which is not beside this file.
const require = createRequire(pathToFileURL(process.argv[2] + "/"));
const load = async (name) => import(pathToFileURL(require.resolve(name)));
const { default: OpenAI } = await load("openai");
const { zodResponseFormat, zodFunction, zodTextFormat } = await load("openai/helpers/zod");
const { z } = await load("zod");

const Weather = z.object({
  city: z.enum(["Oslo", "Rome", "Lima"]),
  days: z.union([z.literal(1), z.literal(3), z.literal(7)]),
  hourly: z.boolean(),
});

async function secondsUntilIdle(client) {
  const began = performance.now();
  for (;;) {
    const asked = (performance.now() - began) / 1000;
    const headers = { authorization: `Bearer ${client.apiKey}` };
    const text = await (await fetch(client.baseURL.replace(/\/v1\/?$/, "/metrics"), { headers })).text();
    const running = [...text.matchAll(/^vllm:num_requests_running\{[^}]*\} (\S+)$/gm)].map((match) => Number(match[1]));
    if (asked > 10 || (running.length && running.every((each) => each === 0))) return asked;
    await new Promise((done) => setTimeout(done, 5));
  }
}

async function call(client, step) {
  const request = { ...step.request, ...step.extra };
  const chat = client.chat.completions;
  switch (step.call) {
    case "models":
      return { reply: { data: (await client.models.list()).data } };
    case "model":
      return { reply: await client.models.retrieve(request.model) };
    case "chat parse": {
      const reply = await chat.parse({ ...request, response_format: zodResponseFormat(Weather, "weather") });
      return { reply, parsed: reply.choices[0].message.parsed };
    }
    case "chat parse tool": {
      const tools = [zodFunction({ name: "get_weather", parameters: Weather })];
      const reply = await chat.parse({ ...request, tools, tool_choice: "required", parallel_tool_calls: false });
      return { reply, parsed: reply.choices[0].message.tool_calls[0].function.parsed_arguments };
    }
    case "chat stream helper":
      return { reply: await chat.stream(request).finalChatCompletion() };
    case "chat leave": {
      const stream = await chat.create(request);
      let seen = 0;
      for await (const _ of stream) if (++seen === 3) break;
      return { idle: await secondsUntilIdle(client) };
    }
    case "response parse": {
      const reply = await client.responses.parse({ ...request, text: { format: zodTextFormat(Weather, "weather") } });
      return { reply, parsed: reply.output_parsed };
    }
  }
  const place = { chat, completion: client.completions, embedding: client.embeddings, response: client.responses };
  const reply = await place[step.call].create(request);
  if (!request.stream) return { reply };
  const events = [];
  for await (const event of reply) events.push(event);
  return { events };
}

const given = JSON.parse(readFileSync(0, "utf8"));
for (const step of given.steps) {
  const client = new OpenAI({ baseURL: given.servers[step.server], apiKey: step.key, maxRetries: step.retries });
  const began = performance.now();
  let result;
  try {
    result = await call(client, step);
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    result = { error: { class: error.constructor.name, status: error.status, body: error.error } };
  }
  console.log(JSON.stringify({ name: step.name, seconds: (performance.now() - began) / 1000, ...result }));
}
