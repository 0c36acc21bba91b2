// Markdown on the screen. Blocks are memoised by their source, so while an answer grows only its last block is built anew.

import { memo } from "preact/compat";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { formula, highlighted, known } from "../core/lazy";
import { html, parse, sanitisedMath, type Parsed } from "../core/markdown";
import { t } from "../state";
import { IconButton } from "./icons";

export function Text({ text, isGrowing }: { text: string; isGrowing: boolean }) {
  const parsed = useRef<Parsed | undefined>(undefined);
  const parts = useMemo(() => (parsed.current = parse(text, parsed.current)).blocks, [text]);
  return (
    <div class="text" dir="auto">
      {parts.map((part, index) =>
        part.kind === "code" ? (
          <Code key={index} source={part.source} language={part.language} isGrowing={isGrowing && index === parts.length - 1} />
        ) : (
          <Prose key={index} source={part.source} />
        ),
      )}
    </div>
  );
}

const Prose = memo(({ source }: { source: string }) => {
  const element = useRef<HTMLDivElement>(null);
  const markup = useMemo(() => html(source), [source]);
  useLayoutEffect(() => {
    let isCurrent = true;
    for (const span of element.current?.querySelectorAll<HTMLElement>("span.math") ?? []) {
      const tex = span.textContent ?? "";
      const isDisplay = span.dataset["display"] === "1";
      const before = known(tex, isDisplay);
      if (before !== undefined) {
        span.innerHTML = sanitisedMath(before);
        continue;
      }
      formula(tex, isDisplay)
        .then((mathml) => isCurrent && (span.innerHTML = sanitisedMath(mathml)))
        .catch(() => undefined); // the formula stays as it was written
    }
    return () => {
      isCurrent = false;
    };
  }, [markup]);
  // `html` sanitises: see core/markdown.ts.
  return <div class="prose" ref={element} dangerouslySetInnerHTML={{ __html: markup }} />;
});

const Code = memo(({ source, language, isGrowing }: { source: string; language: string; isGrowing: boolean }) => {
  const [colours, setColours] = useState<string | null>(null);
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    let isCurrent = true;
    setColours(null);
    if (!isGrowing) {
      highlighted(source, language)
        .then((markup) => isCurrent && setColours(markup))
        .catch(() => undefined);
    }
    return () => {
      isCurrent = false;
    };
  }, [source, language, isGrowing]);
  const copy = () => {
    void navigator.clipboard?.writeText(source).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 1500);
    });
  };
  return (
    <figure class="code" dir="ltr">
      <figcaption>
        <span>{language}</span>
        <IconButton icon={isCopied ? "check" : "copy"} label={isCopied ? t.value.copied : t.value.copy} onClick={copy} shows />
      </figcaption>
      <pre tabIndex={0}>
        {colours === null ? <code>{source}</code> : <code dangerouslySetInnerHTML={{ __html: colours }} />}
      </pre>
    </figure>
  );
});
