// Conversations stay in this browser: IndexedDB, one record each. Export and import are plain JSON that a person can read.

import { check, merge, path, type Conversation } from "./tree";

const STORE = "conversations";

export class Store {
  private constructor(private database: IDBDatabase, private readonly name: string) {}

  static async open(name = "pocketphi"): Promise<Store> {
    return new Store(await connect(name), name);
  }

  /** Every conversation, the latest first. */
  async all(): Promise<Conversation[]> {
    return newestFirst(await this.run("readonly", (store) => store.getAll() as IDBRequest<Conversation[]>));
  }

  /** Keep it, and the turns that another tab has added to it. */
  put(conversation: Conversation): Promise<unknown> {
    return this.run("readwrite", (store) => {
      const before = store.get(conversation.id) as IDBRequest<Conversation | undefined>;
      before.onsuccess = () => store.put(before.result ? merge(before.result, conversation) : conversation);
      return before;
    });
  }

  remove(id: string): Promise<unknown> {
    return this.run("readwrite", (store) => store.delete(id));
  }

  private async run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const transaction = await this.begin(mode);
    return new Promise((resolve, reject) => {
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? request.error);
    });
  }

  /** A browser may close the database of a page that sleeps; it is opened again when it is needed. */
  private async begin(mode: IDBTransactionMode): Promise<IDBTransaction> {
    try {
      return this.database.transaction(STORE, mode);
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "InvalidStateError") throw error;
      this.database = await connect(this.name);
      return this.database.transaction(STORE, mode);
    }
  }
}

function connect(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export function newestFirst(list: readonly Conversation[]): Conversation[] {
  return [...list].sort((a, b) => b.updatedAt - a.updatedAt);
}

/** Conversations in which every word of `query` occurs, in the title or in any turn. */
export function search(list: readonly Conversation[], query: string): Conversation[] {
  const words = fold(query).split(/\s+/).filter(Boolean);
  if (!words.length) return [...list];
  return list.filter((c) => {
    const text = fold([c.title, ...Object.values(c.turns).map((turn) => turn.text)].join("\n"));
    return words.every((word) => text.includes(word));
  });
}

export function exportAll(list: readonly Conversation[]): string {
  return `${JSON.stringify({ pocketphi: 1, conversations: list }, null, 1)}\n`;
}

export interface Imported {
  changed: Conversation[];
  added: number;
  updated: number;
  skipped: number;
}

/** What a file brings beside what is there: of two with one id the later stays. Throws an Error if it is no export. */
export function importAll(text: string, existing: readonly Conversation[]): Imported {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new Error("the file is no JSON");
  }
  const list = (parsed as { conversations?: unknown } | null)?.conversations;
  if (!Array.isArray(list)) throw new Error("the file holds no conversations");
  const known = new Map(existing.map((c) => [c.id, c]));
  const found: Imported = { changed: [], added: 0, updated: 0, skipped: 0 };
  for (const value of list) {
    const conversation = check(value);
    const before = known.get(conversation.id);
    if (before && before.updatedAt >= conversation.updatedAt) {
      found.skipped++;
      continue;
    }
    found[before ? "updated" : "added"]++;
    known.set(conversation.id, conversation);
    found.changed.push(conversation);
  }
  return found;
}

/** The branch on the screen as Markdown. */
export function toMarkdown(c: Conversation, names: { user: string; assistant: string }): string {
  const turns = path(c).map((turn) => `## ${names[turn.role]}\n\n${turn.text.trim()}\n`);
  return [`# ${c.title}\n`, ...(c.system.trim() ? [`> ${c.system.trim().replaceAll("\n", "\n> ")}\n`] : []), ...turns].join("\n");
}

function fold(text: string): string {
  return text.normalize("NFKC").toLocaleLowerCase();
}
