// Where one writes: it grows with the text, keeps what was not sent, and shows how full the context is.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { path } from "../core/tree";
import { current, isOnline, isServerThere, isWaiting, model, send, stop, t, writing } from "../state";
import { IconButton } from "./icons";

const MOST_HEIGHT = 260;
const CHARACTERS_PER_TOKEN = 4;

export function Composer() {
  const draft = useSignal("");
  const area = useRef<HTMLTextAreaElement>(null);
  const fit = () => {
    const element = area.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${Math.min(MOST_HEIGHT, element.scrollHeight)}px`;
  };
  useEffect(fit, [draft.value]);
  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) area.current?.focus();
  }, [current.value.id]);
  const submit = () => {
    if (writing.value || !draft.value.trim()) return;
    send(draft.value);
    draft.value = "";
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  };
  return (
    <form class="composer" onSubmit={(event) => (event.preventDefault(), submit())}>
      <Status />
      <div class="field">
        <textarea
          id="composer"
          ref={area}
          rows={1}
          dir="auto"
          aria-label={t.value.placeholder}
          placeholder={t.value.placeholder}
          value={draft.value}
          onInput={(event) => (draft.value = event.currentTarget.value)}
          onKeyDown={keys}
        />
        {writing.value ? (
          <IconButton icon="stop" label={t.value.stop} onClick={stop} class="primary" />
        ) : (
          <IconButton icon="send" label={t.value.send} onClick={submit} class="primary" disabled={!draft.value.trim()} />
        )}
      </div>
      <Meter draft={draft.value} />
    </form>
  );
}

function Status() {
  const words = !isOnline.value
    ? t.value.offline
    : isWaiting.value || !isServerThere.value
      ? `${t.value.serverGone} ${t.value.retrying}`
      : "";
  return <p class="status" role="status">{words}</p>;
}

/** Tokens of the conversation: as the server counted them after the last answer, and an estimate of what came since. */
function Meter({ draft }: { draft: string }) {
  const used = useComputed(() => {
    const turns = path(current.value);
    const counted = turns.findLastIndex((turn) => turn.used !== undefined);
    const since = turns.slice(counted + 1).reduce((sum, turn) => sum + turn.text.length, 0);
    const system = counted < 0 ? current.value.system.length : 0;
    return (turns[counted]?.used ?? 0) + Math.round((since + system) / CHARACTERS_PER_TOKEN);
  });
  const most = model.value?.max_model_len;
  if (!most) return <p class="meter" />;
  const all = used.value + Math.round(draft.length / CHARACTERS_PER_TOKEN);
  return (
    <p class="meter">
      <meter min={0} max={most} high={most * 0.85} value={Math.min(all, most)} aria-label={t.value.context(all, most)} />
      <span aria-hidden="true">{t.value.context(all, most)}</span>
    </p>
  );
}
