// The whole page: conversations at the side, the one at hand in the middle, and what the keyboard does everywhere.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { path } from "../core/tree";
import { current, isStored, model, models, needsToken, newChat, notice, query, setModel, settings, speech, stop, t, writing } from "../state";
import { Composer } from "./Composer";
import { SettingsDialog, ShortcutsDialog, SignInDialog } from "./Dialogs";
import { IconButton } from "./icons";
import { Sidebar } from "./Sidebar";
import { Thread } from "./Thread";

const NARROW = "(max-width: 820px)"; // where style.css lets the sidebar slide in as a menu

export function App() {
  const dialog = useSignal<"settings" | "shortcuts" | null>(null);
  const hasMenu = useSignal(false);
  const w = t.value;
  useEffect(() => {
    document.documentElement.lang = speech.value;
    document.documentElement.dataset["theme"] = settings.value.theme;
  }, [speech.value, settings.value.theme]);
  useEffect(() => {
    document.title = current.value.title ? `${current.value.title} · pocketphi` : "pocketphi";
  }, [current.value.title]);
  useEffect(() => {
    const keys = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
      if (event.isComposing) return; // an input method's own Escape and Enter
      const command = event.ctrlKey || event.metaKey;
      if (event.key === "Escape" && hasMenu.value) hasMenu.value = false;
      else if (event.key === "Escape" && writing.value && !dialog.value) stop();
      else if (command && event.shiftKey && event.key.toLowerCase() === "o") newChat();
      else if (command && event.key.toLowerCase() === "k") {
        hasMenu.value = matchMedia(NARROW).matches;
        query.value = "";
        requestAnimationFrame(() => document.getElementById("search")?.focus());
      } else if (command && event.key === "ArrowUp" && !isWritten(event.target)) editLast();
      else if (event.key === "?" && !isTyping) dialog.value = "shortcuts";
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  return (
    <>
      <a class="skip" href="#composer" onClick={(event) => (event.preventDefault(), document.getElementById("composer")?.focus())}>
        {w.placeholder}
      </a>
      <div class={`frame ${hasMenu.value ? "with-menu" : ""}`}>
        <Sidebar onChosen={() => (hasMenu.value = false)} />
        <button type="button" class="shade" tabIndex={-1} aria-label={w.close} onClick={() => (hasMenu.value = false)} />
        <main>
          <header class="bar">
            <IconButton icon="menu" label={w.menu} class="menu" pressed={hasMenu.value} onClick={() => (hasMenu.value = !hasMenu.value)} />
            <label class="model">
              <span class="only-read">{w.model}</span>
              <select value={model.value?.id ?? ""} onChange={(event) => setModel(event.currentTarget.value)} disabled={!models.value.length}>
                {models.value.map((each) => (
                  <option key={each.id} value={each.id}>{each.id}</option>
                ))}
              </select>
            </label>
            <span class="space" />
            <IconButton icon="plus" label={w.newChat} onClick={newChat} />
            <IconButton icon="help" label={w.shortcuts} class="keyboard" onClick={() => (dialog.value = "shortcuts")} />
            <IconButton icon="sliders" label={w.settings} onClick={() => (dialog.value = "settings")} />
          </header>
          {!isStored.value && <p class="banner" role="alert">{w.storageFailed}</p>}
          <Thread />
          <Composer />
        </main>
      </div>
      {dialog.value === "settings" && <SettingsDialog onClose={() => (dialog.value = null)} />}
      {dialog.value === "shortcuts" && <ShortcutsDialog onClose={() => (dialog.value = null)} />}
      {needsToken.value !== "no" && <SignInDialog />}
      <Notice />
    </>
  );
}

function Notice() {
  const shown = notice.value;
  const act = () => {
    shown?.action?.run();
    notice.value = null;
  };
  return (
    <div class="notice" role="status">
      {shown && (
        <p>
          <span>{shown.text}</span>
          {shown.action && <button type="button" class="link" onClick={act}>{shown.action.label}</button>}
        </p>
      )}
    </div>
  );
}

/** Whether a field holds text, in which Ctrl and the arrows move. */
const isWritten = (target: EventTarget | null) => target instanceof HTMLTextAreaElement && target.value !== "";

function editLast(): void {
  const last = path(current.value).findLast((turn) => turn.role === "user");
  if (last) document.querySelector<HTMLElement>(`[data-turn="${last.id}"] button.edit`)?.click();
}
