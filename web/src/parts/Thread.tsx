// The conversation on the screen. It follows the answer while one reads at the end, and stays put while one reads above.

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { path, versions } from "../core/tree";
import { announced, current, send, t, writing } from "../state";
import { Logo } from "./icons";
import { Turn } from "./Turn";

const NEAR_PIXELS = 80;

export function Thread() {
  const box = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const c = current.value;
  const turns = path(c);
  const places = versions(c);
  const isBusy = writing.value !== null;
  useLayoutEffect(() => {
    follows.current = true;
  }, [c.id, writing.value?.turn]);
  useEffect(() => {
    const element = box.current;
    if (element && follows.current) element.scrollTop = element.scrollHeight;
  });
  const scrolled = () => {
    const element = box.current;
    if (element) follows.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PIXELS;
  };
  return (
    <div class="thread" ref={box} onScroll={scrolled} tabIndex={-1}>
      {turns.length === 0 ? (
        <Empty />
      ) : (
        <div class="turns" role="log" aria-live="off" aria-label={t.value.conversations} aria-busy={isBusy}>
          {turns.map((turn, index) => (
            <Turn
              key={turn.id}
              turn={turn}
              versions={places.get(turn.id) ?? []}
              isBusy={isBusy}
              isLast={index === turns.length - 1}
            />
          ))}
        </div>
      )}
      <p class="only-read" role="status">{isBusy ? t.value.writing : announced.value}</p>
    </div>
  );
}

function Empty() {
  return (
    <div class="empty">
      <Logo />
      <h1>{t.value.emptyTitle}</h1>
      <p>{t.value.emptyHint}</p>
      <div class="suggestions">
        {t.value.suggestions.map((suggestion) => (
          <button type="button" key={suggestion} onClick={() => send(suggestion)}>{suggestion}</button>
        ))}
      </div>
    </div>
  );
}
