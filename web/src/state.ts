// What the page knows, as signals, and everything that a person can do to it. Components read signals and call actions.

import { batch, computed, signal } from "@preact/signals";
import { Api, ApiError, type Model } from "./core/api";
import { generate } from "./core/generate";
import { language, words } from "./core/i18n";
import { nameImages } from "./core/markdown";
import { DEFAULTS, keeper, load, sampling, save, type Settings } from "./core/settings";
import { exportAll, importAll, newestFirst, search, Store, toMarkdown } from "./core/store";
import { forgetToken, keepToken, takeToken, token } from "./core/token";
import * as tree from "./core/tree";

const SAVE_MILLISECONDS = 700;
const MODELS_AGAIN_MILLISECONDS = 3000;

const storage = keeper();
takeToken(location, history, storage);

export const settings = signal<Settings>(load(storage));
export const speech = computed(() => language(settings.value.language, navigator.languages));
export const t = computed(() => words(speech.value));

export const conversations = signal<tree.Conversation[]>([]);
export const current = signal<tree.Conversation>(tree.newConversation(newId(), Date.now()));
export const query = signal("");
export const found = computed(() => search(conversations.value, query.value));

export const models = signal<Model[]>([]);
export const model = computed<Model | undefined>(
  () => models.value.find((each) => each.id === current.value.model) ?? models.value[0],
);
export const isOnline = signal(navigator.onLine);
export const isServerThere = signal(true);
export const isWaiting = signal(false);
export const needsToken = signal<"no" | "first" | "wrong">("no");
export const writing = signal<{ conversation: string; turn: string } | null>(null);
export const notice = signal<{ text: string; action?: { label: string; run: () => void } } | null>(null);
export const announced = signal("");
export const isStored = signal(true);

const api = new Api("", () => token(storage));
const otherTabs = new BroadcastChannel("pocketphi");
let store: Store | null = null;
let controller: AbortController | null = null;
let saveTimer: ReturnType<typeof setTimeout> | undefined;
let noticeTimer: ReturnType<typeof setTimeout> | undefined;

/** Read what this browser keeps, and ask the server for its models. */
export async function start(): Promise<void> {
  nameImages((text) => t.value.image(text));
  addEventListener("online", () => ((isOnline.value = true), void askModels()));
  addEventListener("offline", () => (isOnline.value = false));
  addEventListener("hashchange", () => {
    // The link was opened again, in a tab that shows the page already.
    if (takeToken(location, history, storage)) void askModels();
  });
  addEventListener("pagehide", () => void saveNow());
  otherTabs.onmessage = () => void readAgain();
  void askModels();
  try {
    store = await Store.open();
    conversations.value = (await store.all()).map(mendCut);
  } catch {
    isStored.value = false;
  }
  const wanted = conversations.value.find((c) => c.id === location.hash.slice(3));
  if (wanted) current.value = wanted;
}

export async function askModels(): Promise<void> {
  try {
    models.value = await api.models();
    batch(() => {
      isServerThere.value = true;
      needsToken.value = "no";
    });
  } catch (error) {
    const status = error instanceof ApiError ? error.status : 0;
    if (status === 401) askForToken();
    else isServerThere.value = false;
    if (status !== 401) setTimeout(() => isServerThere.value || void askModels(), MODELS_AGAIN_MILLISECONDS);
  }
}

export function signIn(value: string): void {
  keepToken(storage, value);
  void askModels();
}

function askForToken(): void {
  needsToken.value = token(storage) === null ? "first" : "wrong";
  forgetToken(storage);
}

// Conversations.

export function newChat(): void {
  const kept = { system: current.value.system, model: current.value.model };
  show({ ...tree.newConversation(newId(), Date.now()), ...(current.value.leaf ? { model: kept.model } : kept) });
}

export function open(id: string): void {
  settle();
  const wanted = conversations.value.find((c) => c.id === id);
  if (wanted) show(wanted);
}

function show(c: tree.Conversation): void {
  settle();
  current.value = c;
  history.replaceState(null, "", c.leaf ? `#c=${c.id}` : location.pathname);
}

/**
 * Change a conversation, on the screen or not; it is saved a little later. The list at the side learns of an answer that
 * grows on the screen only then: nothing there looks different.
 */
function update(id: string, how: (c: tree.Conversation) => tree.Conversation, isGrowth = false): void {
  const isShown = id === current.value.id;
  const before = find(id);
  if (!before) return;
  const after = how(before);
  batch(() => {
    if (isShown) current.value = after;
    if (!isShown || !isGrowth) list(after);
  });
  unsaved.add(id);
  saveTimer ??= setTimeout(() => void saveNow(), SAVE_MILLISECONDS);
}

/** A conversation as it is now: what is on the screen is ahead of the list. */
const find = (id: string): tree.Conversation | undefined =>
  id === current.value.id ? current.value : conversations.value.find((c) => c.id === id);

/** Put a conversation in the list as it is now; without turns it is not worth an entry. */
function list(c: tree.Conversation): void {
  if (c.leaf) conversations.value = newestFirst([c, ...conversations.value.filter((each) => each.id !== c.id)]);
}

/** Bring the list's entry of what is on the screen up to date. */
function settle(): void {
  const entry = conversations.value.find((c) => c.id === current.value.id);
  if (entry && entry !== current.value) list(current.value);
}

const unsaved = new Set<string>();

async function saveNow(): Promise<void> {
  clearTimeout(saveTimer);
  saveTimer = undefined;
  settle();
  const waiting = conversations.value.filter((c) => unsaved.has(c.id));
  unsaved.clear();
  if (!waiting.length || !store) return;
  try {
    await Promise.all(waiting.map((c) => store?.put(c)));
    isStored.value = true;
    otherTabs.postMessage("changed");
  } catch {
    for (const c of waiting) unsaved.add(c.id); // the next change tries again
    isStored.value = false;
  }
}

/** Another tab has saved: take what it did; of what is changing here, the turns that it added. */
async function readAgain(): Promise<void> {
  if (!store) return;
  const kept = await store.all();
  settle();
  const isOurs = (c: tree.Conversation) => unsaved.has(c.id) || writing.value?.conversation === c.id;
  const known = new Map(conversations.value.map((c) => [c.id, c]));
  const joined = kept.map((theirs) => {
    const mine = known.get(theirs.id);
    if (!mine) return theirs;
    return isOurs(mine) ? tree.merge(theirs, mine) : tree.merge(mine, theirs);
  });
  const ids = new Set(kept.map((c) => c.id));
  batch(() => {
    conversations.value = newestFirst([...joined, ...conversations.value.filter((c) => isOurs(c) && !ids.has(c.id))]);
    current.value = conversations.value.find((c) => c.id === current.value.id) ?? current.value;
  });
}

export const rename = (id: string, title: string): void =>
  update(id, (c) => ({ ...c, title: title.trim().slice(0, 200) || c.title }));
export const setSystem = (system: string): void => update(current.value.id, (c) => ({ ...c, system }));
export const setModel = (id: string): void => update(current.value.id, (c) => ({ ...c, model: id }));
export const showBranch = (turn: string): void => update(current.value.id, (c) => tree.switchTo(c, turn));

export function remove(id: string): void {
  settle();
  const gone = conversations.value.find((c) => c.id === id);
  if (!gone) return;
  if (writing.value?.conversation === id) stop();
  conversations.value = conversations.value.filter((c) => c.id !== id);
  if (current.value.id === id) newChat();
  void store?.remove(id).then(() => otherTabs.postMessage("changed"));
  const undo = () => {
    const back = mendCut(gone);
    list(back);
    void store?.put(back);
    show(back);
  };
  say(t.value.removed, { label: t.value.undo, run: undo });
}

// Answers.

export function send(text: string): void {
  if (writing.value || !text.trim()) return;
  const question = { id: newId(), role: "user" as const, text, createdAt: Date.now() };
  const { id } = current.value;
  update(id, (c) => tree.append({ ...c, title: c.title || tree.titleOf(text) }, question));
  history.replaceState(null, "", `#c=${id}`);
  void answer(id, question.id);
}

export function edit(turn: string, text: string): void {
  if (writing.value || !text.trim()) return;
  const before = current.value.turns[turn];
  if (!before) return;
  const question = { id: newId(), role: "user" as const, text, createdAt: Date.now(), parent: before.parent };
  update(current.value.id, (c) => tree.append(c, question));
  void answer(current.value.id, question.id);
}

/** Another answer beside `turn`. */
export function regenerate(turn: string): void {
  const before = current.value.turns[turn];
  if (before?.parent && !writing.value) void answer(current.value.id, before.parent);
}

/** Go on where an answer was cut. */
export function goOn(turn: string): void {
  if (!writing.value) void answer(current.value.id, null, turn);
}

export function stop(): void {
  controller?.abort();
}

async function answer(id: string, question: string | null, begun?: string): Promise<void> {
  const now = Date.now();
  const turn = begun ?? newId();
  if (!begun) {
    const opened = { id: turn, role: "assistant" as const, text: "", createdAt: now, parent: question };
    update(id, (c) => tree.append(c, { ...opened, ending: "writing", model: model.value?.id ?? "" }));
  } else {
    update(id, (c) => tree.change(c, turn, { ending: "writing", problem: undefined }));
  }
  writing.value = { conversation: id, turn };
  controller = new AbortController();
  const asked = tree.messages(current.value, begun ?? question);
  const body = {
    model: model.value?.id ?? "",
    messages: asked,
    ...sampling(settings.value),
    ...(begun ? { continue_final_message: true, add_generation_prompt: false } : {}),
  };
  if (!body.model) delete (body as { model?: string }).model;
  const frame = batched((part) => update(id, (c) => tree.change(c, turn, part), !("ending" in part)));
  try {
    const text = begun ? (current.value.turns[turn]?.text ?? "") : "";
    const waiting = (yes: boolean) => (isWaiting.value = yes);
    await generate(api, body, text, { change: frame.push, waiting }, controller.signal);
    frame.flush();
    const ending = find(id)?.turns[turn]?.ending;
    announced.value = ending === "done" ? t.value.finished : ending === "failed" ? t.value.cutOff : t.value.stopped;
    if (ending === "failed") void askModels(); // it may be away, or have come back with others
    else isServerThere.value = true;
  } catch (error) {
    frame.push({ ending: "failed", problem: "token" });
    frame.flush();
    if (error instanceof ApiError && error.status === 401) askForToken();
    else throw error;
  } finally {
    batch(() => {
      writing.value = null;
      isWaiting.value = false;
    });
    controller = null;
    void saveNow();
  }
}

/** Parts of a turn, joined until the next frame: a screen shows sixty of them a second, a model writes hundreds. */
function batched(apply: (part: Partial<tree.Turn>) => void) {
  let pending: Partial<tree.Turn> | null = null;
  const flush = () => {
    const part = pending;
    pending = null;
    if (part) apply(part);
  };
  const push = (part: Partial<tree.Turn>) => {
    if (!pending) document.hidden ? setTimeout(flush, 100) : requestAnimationFrame(flush);
    pending = { ...pending, ...part };
  };
  return { push, flush };
}

/** An answer that was being written when the page went away was cut. */
function mendCut(c: tree.Conversation): tree.Conversation {
  const cut = Object.values(c.turns).filter((turn) => turn.ending === "writing");
  return cut.reduce((mended, turn) => tree.change(mended, turn.id, { ending: "failed", problem: "away" }), c);
}

// Files, settings, words at the edge of the screen.

export function download(kind: "all" | "markdown"): void {
  settle();
  const names = { user: t.value.you, assistant: t.value.assistant };
  const [text, name, type] =
    kind === "all"
      ? [exportAll(conversations.value), "pocketphi-conversations.json", "application/json"]
      : [toMarkdown(current.value, names), `${current.value.title.replace(/[^\p{L}\p{N} -]/gu, "") || "chat"}.md`, "text/markdown"];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export async function importFile(file: File): Promise<void> {
  try {
    settle();
    const { changed, added, updated, skipped } = importAll(await file.text(), conversations.value);
    const ids = new Set(changed.map((c) => c.id));
    conversations.value = newestFirst([...changed, ...conversations.value.filter((c) => !ids.has(c.id))]);
    await Promise.all(changed.map((c) => store?.put(c)));
    const again = changed.find((c) => c.id === current.value.id);
    if (again) current.value = again;
    say(t.value.imported(added, updated, skipped));
  } catch (error) {
    say(t.value.importFailed(error instanceof Error ? error.message : String(error)));
  }
}

export function set(part: Partial<Settings>): void {
  settings.value = { ...settings.value, ...part };
  save(storage, settings.value);
}

export const resetSettings = (): void => set({ ...DEFAULTS, theme: settings.value.theme, language: settings.value.language });

export function say(text: string, action?: { label: string; run: () => void }): void {
  clearTimeout(noticeTimer);
  notice.value = action ? { text, action } : { text };
  noticeTimer = setTimeout(() => (notice.value = null), 8000);
}

function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => byte.toString(36).padStart(2, "0")).join("");
}
