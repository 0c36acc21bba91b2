// A conversation is a tree: editing a question or asking for another answer opens a branch, and nothing is lost.
// Every function returns a new value; what is on the screen is the path from the root to `leaf`.

export type Ending = "done" | "stopped" | "length" | "failed" | "writing";

export interface Turn {
  id: string;
  parent: string | null;
  role: "user" | "assistant";
  text: string;
  createdAt: number;
  model?: string;
  ending?: Ending;
  problem?: string;
  tokens?: number;
  seconds?: number;
  used?: number;
}

export interface Conversation {
  id: string;
  title: string;
  createdAt: number;
  updatedAt: number;
  system: string;
  model: string | null;
  turns: Record<string, Turn>;
  leaf: string | null;
}

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

const MOST_TURNS = 20_000;
const MOST_CHARACTERS = 4_000_000;
const TITLE_CHARACTERS = 60;

export function newConversation(id: string, now: number): Conversation {
  return { id, title: "", createdAt: now, updatedAt: now, system: "", model: null, turns: {}, leaf: null };
}

/** Add a turn, below the leaf unless it names its parent; it becomes the leaf. */
export function append(c: Conversation, turn: Omit<Turn, "parent"> & { parent?: string | null }): Conversation {
  const parent = turn.parent === undefined ? c.leaf : turn.parent;
  return { ...c, turns: { ...c.turns, [turn.id]: { ...turn, parent } }, leaf: turn.id, updatedAt: turn.createdAt };
}

export function change(c: Conversation, id: string, part: Partial<Turn>): Conversation {
  const turn = c.turns[id];
  return turn ? { ...c, turns: { ...c.turns, [id]: { ...turn, ...part } } } : c;
}

/**
 * One conversation as two tabs know it: every turn of both, of a turn that both know the one that has got further; for
 * the rest, what `mine` says.
 */
export function merge(theirs: Conversation, mine: Conversation): Conversation {
  const turns = { ...theirs.turns, ...mine.turns };
  for (const [id, turn] of Object.entries(theirs.turns)) {
    const own = mine.turns[id];
    if (!own) continue;
    const isAhead = turn.text.length - own.text.length || Number(own.ending === "writing") - Number(turn.ending === "writing");
    if (isAhead > 0) turns[id] = turn;
  }
  return { ...mine, turns, updatedAt: Math.max(theirs.updatedAt, mine.updatedAt) };
}

/** From the root to `leaf`. */
export function path(c: Conversation, leaf: string | null = c.leaf): Turn[] {
  const found: Turn[] = [];
  for (let turn = leaf === null ? undefined : c.turns[leaf]; turn; ) {
    found.push(turn);
    turn = turn.parent === null ? undefined : c.turns[turn.parent];
  }
  return found.reverse();
}

/** For every turn those that stand in the same place, itself among them, oldest first. */
export function versions(c: Conversation): Map<string, string[]> {
  const places = new Map<string, Turn[]>();
  for (const turn of Object.values(c.turns)) {
    const place = `${turn.role} below ${turn.parent}`;
    const there = places.get(place);
    if (there) there.push(turn);
    else places.set(place, [turn]);
  }
  const found = new Map<string, string[]>();
  for (const turns of places.values()) {
    const ids = turns.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1)).map((turn) => turn.id);
    for (const id of ids) found.set(id, ids);
  }
  return found;
}

/** Show the branch through `id`, down to its newest end. */
export function switchTo(c: Conversation, id: string): Conversation {
  let leaf = id;
  for (;;) {
    const children = Object.values(c.turns).filter((turn) => turn.parent === leaf);
    const newest = children.reduce<Turn | undefined>((a, b) => (!a || b.createdAt >= a.createdAt ? b : a), undefined);
    if (!newest) return { ...c, leaf };
    leaf = newest.id;
  }
}

/** What the server is told: the system prompt, if any, and the path to `upTo`. */
export function messages(c: Conversation, upTo: string | null = c.leaf): Message[] {
  const turns: Message[] = path(c, upTo)
    .filter((turn) => turn.role === "user" || turn.text !== "")
    .map((turn) => ({ role: turn.role, content: turn.text }));
  return c.system.trim() ? [{ role: "system", content: c.system }, ...turns] : turns;
}

/** A conversation's name, from its first question. */
export function titleOf(text: string): string {
  const line = text.trim().split(/\r?\n/, 1)[0] ?? "";
  const characters = [...line];
  if (characters.length <= TITLE_CHARACTERS) return line;
  const start = characters.slice(0, TITLE_CHARACTERS).join("");
  const end = start.lastIndexOf(" ");
  return `${end > TITLE_CHARACTERS / 2 ? start.slice(0, end) : start}…`;
}

/** A conversation that comes from a file. Throws an Error that says what is wrong with it. */
export function check(value: unknown): Conversation {
  const c = record(value, "a conversation");
  const turns: Record<string, Turn> = {};
  const given = record(c["turns"], "`turns`");
  const ids = Object.keys(given);
  if (ids.length > MOST_TURNS) throw new Error(`more than ${MOST_TURNS} turns`);
  let size = 0;
  for (const id of ids) {
    if (!/^[\w-]{1,64}$/.test(id) || id === "__proto__") throw new Error("a turn's name is none of ours");
    const turn = record(given[id], "a turn");
    const role = turn["role"];
    if (role !== "user" && role !== "assistant") throw new Error("a turn's `role` is neither user nor assistant");
    const text = string(turn["text"], "`text`");
    size += text.length;
    const parent = turn["parent"] === null ? null : string(turn["parent"], "`parent`");
    if (parent !== null && !Object.hasOwn(given, parent)) throw new Error("a turn's parent is not there");
    turns[id] = { id, parent, role, text, createdAt: number(turn["createdAt"], "`createdAt`"), ...extras(turn) };
  }
  if (size > MOST_CHARACTERS) throw new Error(`more than ${MOST_CHARACTERS} characters`);
  const leaf = c["leaf"] === null ? null : string(c["leaf"], "`leaf`");
  if (leaf !== null && !Object.hasOwn(turns, leaf)) throw new Error("the last turn is not there");
  checkAncestors(turns);
  const id = string(c["id"], "`id`");
  if (!/^[\w-]{1,64}$/.test(id)) throw new Error("`id` is none of ours");
  const system = string(c["system"] ?? "", "`system`");
  if (system.length > MOST_CHARACTERS) throw new Error(`more than ${MOST_CHARACTERS} characters`);
  return {
    id,
    title: string(c["title"], "`title`").slice(0, 200),
    createdAt: number(c["createdAt"], "`createdAt`"),
    // A time that has not come would win over every later change.
    updatedAt: Math.min(number(c["updatedAt"], "`updatedAt`"), Date.now()),
    system,
    model: typeof c["model"] === "string" ? c["model"] : null,
    turns,
    leaf,
  };
}

/** Every turn is looked at once: a way up ends at the root, at one that is known to lead there, or in a circle. */
function checkAncestors(turns: Record<string, Turn>): void {
  const leadsUp = new Set<string>();
  for (const start of Object.keys(turns)) {
    const way = new Set<string>();
    for (let id: string | null = start; id !== null && !leadsUp.has(id); id = turns[id]?.parent ?? null) {
      if (way.has(id)) throw new Error("turns that follow each other in a circle");
      way.add(id);
    }
    for (const id of way) leadsUp.add(id);
  }
}

const ENDINGS: readonly string[] = ["done", "stopped", "length", "failed"];

function extras(turn: Record<string, unknown>): Partial<Turn> {
  const found: Partial<Turn> = {};
  if (typeof turn["model"] === "string") found.model = turn["model"];
  if (typeof turn["problem"] === "string") found.problem = turn["problem"];
  if (typeof turn["ending"] === "string" && ENDINGS.includes(turn["ending"])) found.ending = turn["ending"] as Ending;
  for (const name of ["tokens", "seconds", "used"] as const) {
    const value = turn[name];
    if (typeof value === "number" && Number.isFinite(value)) found[name] = value;
  }
  return found;
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${what} is no object`);
  return value as Record<string, unknown>;
}

function string(value: unknown, what: string): string {
  if (typeof value !== "string") throw new Error(`${what} is no text`);
  return value;
}

function number(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new Error(`${what} is no number`);
  return value;
}
