// The conversations of this browser: found by their words, renamed where they stand, deleted with a way back.

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { Conversation } from "../core/tree";
import { conversations, current, download, found, importFile, newChat, open, query, remove, rename, t } from "../state";
import { Icon, IconButton, Logo } from "./icons";

export function Sidebar({ onChosen }: { onChosen: () => void }) {
  const file = useRef<HTMLInputElement>(null);
  const choose = (work: () => void) => {
    work();
    onChosen();
  };
  return (
    <nav class="sidebar" id="sidebar" aria-label={t.value.conversations}>
      <header>
        <Logo />
        <strong>pocketphi</strong>
      </header>
      <button type="button" class="new" onClick={() => choose(newChat)}>
        <Icon name="plus" />
        <span>{t.value.newChat}</span>
      </button>
      <label class="find">
        <Icon name="search" />
        <input
          id="search"
          type="search"
          aria-label={t.value.search}
          placeholder={t.value.search}
          value={query.value}
          onInput={(event) => (query.value = event.currentTarget.value)}
          onKeyDown={(event) => event.key === "Escape" && query.value && event.stopPropagation()} // it empties the field
        />
      </label>
      <ul>
        {found.value.map((c) => (
          <Entry key={c.id} c={c} onOpen={() => choose(() => open(c.id))} />
        ))}
        {query.value && !found.value.length ? <li class="nothing">{t.value.noResults}</li> : null}
      </ul>
      <footer>
        <button type="button" class="link" disabled={!conversations.value.length} onClick={() => download("all")}>
          {t.value.exportAll}
        </button>
        <button type="button" class="link" onClick={() => file.current?.click()}>
          {t.value.importFile}
        </button>
        <input
          ref={file}
          type="file"
          accept="application/json,.json"
          hidden
          aria-label={t.value.importFile}
          onChange={(event) => {
            const chosen = event.currentTarget.files?.[0];
            if (chosen) void importFile(chosen);
            event.currentTarget.value = "";
          }}
        />
      </footer>
    </nav>
  );
}

function Entry({ c, onOpen }: { c: Conversation; onOpen: () => void }) {
  const isNaming = useSignal(false);
  if (isNaming.value) {
    const finish = (title: string) => {
      if (!isNaming.value) return; // given up by Escape: a field that leaves the page is blurred as well
      isNaming.value = false;
      rename(c.id, title);
    };
    return (
      <li>
        <input
          class="naming"
          aria-label={t.value.rename}
          defaultValue={c.title}
          ref={(element) => element?.focus()}
          onBlur={(event) => finish(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.isComposing) return;
            if (event.key === "Enter") event.currentTarget.blur();
            if (event.key === "Escape") {
              event.stopPropagation();
              isNaming.value = false;
            }
          }}
        />
      </li>
    );
  }
  return (
    <li class={c.id === current.value.id ? "current" : ""}>
      <button
        type="button"
        class="entry"
        dir="auto"
        aria-current={c.id === current.value.id ? "page" : undefined}
        onClick={onOpen}
      >
        {c.title || t.value.newChat}
      </button>
      <IconButton icon="edit" label={`${t.value.rename}: ${c.title}`} onClick={() => (isNaming.value = true)} />
      <IconButton icon="trash" label={`${t.value.remove}: ${c.title}`} onClick={() => remove(c.id)} />
    </li>
  );
}
