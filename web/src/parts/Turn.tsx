// One turn: what was said, and what can be done about it.

import { memo } from "preact/compat";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Turn as TurnData } from "../core/tree";
import { edit, goOn, regenerate, say, showBranch, t, writing } from "../state";
import { IconButton } from "./icons";
import { Text } from "./Text";

const FOLDED_CHARACTERS = 4000;

interface Props {
  turn: TurnData;
  versions: string[];
  isBusy: boolean;
  isLast: boolean;
}

export const Turn = memo(
  ({ turn, versions, isBusy, isLast }: Props) => {
    const [isEditing, setEditing] = useState(false);
    const isUser = turn.role === "user";
    return (
      <article class={`turn ${turn.role}`} data-turn={turn.id} aria-label={isUser ? t.value.you : t.value.assistant}>
        {isUser && isEditing ? (
          <Editor text={turn.text} onEnd={() => setEditing(false)} onSend={(text) => edit(turn.id, text)} />
        ) : isUser ? (
          <Question text={turn.text} />
        ) : turn.text ? (
          <Text text={turn.text} isGrowing={turn.ending === "writing"} />
        ) : (
          turn.ending === "writing" && <p class="dots" aria-label={t.value.writing}><i /><i /><i /></p>
        )}
        {!isEditing && <Remark turn={turn} isBusy={isBusy} isLast={isLast} />}
        {!isEditing && turn.ending !== "writing" && (
          <footer>
            {versions.length > 1 && <Versions id={turn.id} versions={versions} isBusy={isBusy} />}
            <IconButton icon="copy" label={t.value.copy} onClick={() => copy(turn.text)} />
            {isUser ? (
              <IconButton icon="edit" label={t.value.edit} disabled={isBusy} onClick={() => setEditing(true)} class="edit" />
            ) : (
              <IconButton icon="again" label={t.value.regenerate} disabled={isBusy} onClick={() => regenerate(turn.id)} />
            )}
            {!isUser && turn.tokens && turn.seconds ? (
              <span class="speed">{t.value.speed(rate(turn.tokens / turn.seconds))}</span>
            ) : null}
          </footer>
        )}
      </article>
    );
  },
  (a, b) =>
    a.turn === b.turn && a.isBusy === b.isBusy && a.isLast === b.isLast && a.versions.join() === b.versions.join(),
);

function Question({ text }: { text: string }) {
  const [isFolded, setFolded] = useState(text.length > FOLDED_CHARACTERS);
  return (
    <div class="question" dir="auto">
      {isFolded ? `${text.slice(0, FOLDED_CHARACTERS)}…` : text}
      {isFolded && (
        <button type="button" class="link" onClick={() => setFolded(false)}>
          {t.value.linesMore}
        </button>
      )}
    </div>
  );
}

function Versions({ id, versions, isBusy }: { id: string; versions: string[]; isBusy: boolean }) {
  const place = versions.indexOf(id);
  const show = (step: number) => {
    const wanted = versions[place + step];
    if (wanted) showBranch(wanted);
  };
  return (
    <span class="versions">
      <IconButton icon="left" label={t.value.previous} disabled={isBusy || place === 0} onClick={() => show(-1)} />
      <span>{t.value.branch(place + 1, versions.length)}</span>
      <IconButton
        icon="right"
        label={t.value.next}
        disabled={isBusy || place === versions.length - 1}
        onClick={() => show(1)}
      />
    </span>
  );
}

/** Why an answer ended, where it did not simply end, and how to go on. */
function Remark({ turn, isBusy, isLast }: { turn: TurnData; isBusy: boolean; isLast: boolean }) {
  const words = remark(turn);
  if (!words || turn.role === "user") return null;
  const canGoOn = isLast && turn.text !== "" && turn.problem !== "long";
  return (
    <p class={`remark ${turn.ending}`} role={turn.ending === "failed" ? "alert" : undefined}>
      <span>{words}</span>
      {canGoOn && (
        <button type="button" class="link" disabled={isBusy} onClick={() => goOn(turn.id)}>
          {t.value.goOn}
        </button>
      )}
      {turn.ending === "failed" && (
        <button type="button" class="link" disabled={isBusy} onClick={() => regenerate(turn.id)}>
          {t.value.regenerate}
        </button>
      )}
    </p>
  );
}

function remark(turn: TurnData): string | null {
  if (turn.ending === "stopped") return t.value.stopped;
  if (turn.ending === "length") return t.value.lengthReached;
  if (turn.ending !== "failed") return null;
  const [kind, said] = [turn.problem ?? "away", (turn.problem ?? "").replace(/^\w+:/, "")];
  if (kind === "away") return turn.text ? t.value.cutOff : t.value.serverGone;
  if (kind === "long") return t.value.tooLong;
  if (kind === "token") return t.value.signIn;
  return kind.startsWith("busy:") ? t.value.queueFull(Number(said)) : said;
}

function Editor({ text, onEnd, onSend }: { text: string; onEnd: () => void; onSend: (text: string) => void }) {
  const [value, setValue] = useState(text);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => area.current?.focus(), []);
  const cannotSend = !value.trim() || writing.value !== null;
  const submit = () => {
    if (cannotSend) return;
    onEnd();
    onSend(value);
  };
  const keys = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      onEnd();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      submit();
    }
  };
  return (
    <form class="editor" onSubmit={(event) => (event.preventDefault(), submit())}>
      <textarea
        ref={area}
        aria-label={t.value.edit}
        rows={Math.min(12, value.split("\n").length + 1)}
        value={value}
        onInput={(event) => setValue(event.currentTarget.value)}
        onKeyDown={keys}
      />
      <button type="submit" class="primary" disabled={cannotSend}>{t.value.save}</button>
      <button type="button" onClick={onEnd}>{t.value.cancel}</button>
    </form>
  );
}

function copy(text: string): void {
  void navigator.clipboard?.writeText(text).then(() => say(t.value.copied));
}

const rate = (value: number): string => value.toFixed(value < 10 ? 1 : 0);
