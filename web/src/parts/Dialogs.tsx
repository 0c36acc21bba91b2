// Dialogs of the browser itself: they trap the focus, close by Escape, and give the focus back.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { RANGES, type Settings } from "../core/settings";
import { current, download, needsToken, resetSettings, set, setSystem, settings, signIn, t } from "../state";
import { IconButton } from "./icons";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  cannotClose?: boolean;
}

function Dialog({ title, onClose, children, cannotClose }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog
      ref={element}
      aria-label={title}
      onClose={cannotClose ? () => element.current?.showModal() : onClose} // a second Escape closes whatever `cancel` says
      onCancel={(event) => cannotClose && event.preventDefault()}
      onClick={(event) => event.target === element.current && !cannotClose && onClose()}
    >
      <header>
        <h2>{title}</h2>
        {!cannotClose && <IconButton icon="close" label={t.value.close} onClick={onClose} />}
      </header>
      {children}
    </dialog>
  );
}

export function SettingsDialog({ onClose }: { onClose: () => void }) {
  const s = settings.value;
  const w = t.value;
  return (
    <Dialog title={w.settings} onClose={onClose}>
      <label>
        <span>{w.systemPrompt}</span>
        <textarea
          rows={4}
          dir="auto"
          placeholder={w.systemHint}
          value={current.value.system}
          onInput={(event) => setSystem(event.currentTarget.value)}
        />
      </label>
      <Slider name="temperature" label={w.temperature} />
      <Slider name="top_p" label={w.topP} />
      <div class="pair">
        <Whole name="top_k" label={w.topK} />
        <Whole name="max_tokens" label={w.maxTokens} />
      </div>
      <label>
        <span>{w.seed}</span>
        <input
          type="number"
          min={0}
          step={1}
          value={s.seed ?? ""}
          onInput={(event) => {
            const value = event.currentTarget.valueAsNumber;
            set({ seed: Number.isSafeInteger(value) && value >= 0 ? value : null });
          }}
        />
      </label>
      <div class="pair">
        <Choice name="theme" label={w.theme} options={{ auto: w.auto, light: w.light, dark: w.dark }} />
        <Choice name="language" label={w.language} options={{ auto: w.auto, en: "English", de: "Deutsch", ko: "한국어" }} />
      </div>
      <footer>
        <button type="button" class="link" onClick={resetSettings}>{w.reset}</button>
        <button type="button" class="link" disabled={!current.value.leaf} onClick={() => download("markdown")}>
          {w.exportMarkdown}
        </button>
      </footer>
    </Dialog>
  );
}

function Slider({ name, label }: { name: "temperature" | "top_p"; label: string }) {
  const value = settings.value[name];
  return (
    <label>
      <span>
        {label} <output>{value.toFixed(2)}</output>
      </span>
      <input type="range" {...RANGES[name]} value={value} onInput={(event) => set({ [name]: event.currentTarget.valueAsNumber })} />
    </label>
  );
}

function Whole({ name, label }: { name: "top_k" | "max_tokens"; label: string }) {
  const { min, max } = RANGES[name];
  return (
    <label>
      <span>{label}</span>
      <input
        type="number"
        {...RANGES[name]}
        value={settings.value[name]}
        onChange={(event) => {
          const value = Math.round(event.currentTarget.valueAsNumber);
          if (value >= min && value <= max) set({ [name]: value });
          else event.currentTarget.value = String(settings.value[name]);
        }}
      />
    </label>
  );
}

function Choice<K extends "theme" | "language">(props: { name: K; label: string; options: Record<Settings[K], string> }) {
  return (
    <label>
      <span>{props.label}</span>
      <select
        value={settings.value[props.name]}
        onChange={(event) => set({ [props.name]: event.currentTarget.value } as Partial<Settings>)}
      >
        {Object.entries<string>(props.options).map(([value, words]) => (
          <option key={value} value={value}>{words}</option>
        ))}
      </select>
    </label>
  );
}

export function ShortcutsDialog({ onClose }: { onClose: () => void }) {
  const w = t.value;
  const rows: [string, string][] = [
    ["Enter", w.scSend],
    ["Shift Enter", w.scNewline],
    ["Esc", w.scStop],
    ["Ctrl Shift O", w.scNew],
    ["Ctrl K", w.scSearch],
    ["Ctrl ↑", w.scEdit],
    ["?", w.scHelp],
  ];
  return (
    <Dialog title={w.shortcuts} onClose={onClose}>
      <dl>
        {rows.map(([keys, words]) => (
          <div key={keys}>
            <dt>{keys.split(" ").map((key) => <kbd key={key}>{key}</kbd>)}</dt>
            <dd>{words}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

export function SignInDialog() {
  const [value, setValue] = useState("");
  const w = t.value;
  return (
    <Dialog title={w.signIn} onClose={() => undefined} cannotClose>
      <form onSubmit={(event) => (event.preventDefault(), signIn(value))}>
        <p>{needsToken.value === "wrong" ? w.wrongToken : w.signInHint}</p>
        <label>
          <span>{w.token}</span>
          <input
            type="password"
            autocomplete="off"
            required
            value={value}
            onInput={(event) => setValue(event.currentTarget.value)}
          />
        </label>
        <footer>
          <button type="submit" class="primary">OK</button>
        </footer>
      </form>
    </Dialog>
  );
}
